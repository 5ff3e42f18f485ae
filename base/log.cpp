#include "base/log.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "base/log_output.hpp"
#include "base/log_text.hpp"
#include "base/log_writer.hpp"
#include "base/text.hpp"

namespace cpns::log {
namespace {

constexpr std::array<std::string_view, 5> level_names{"debug", "info", "warn", "error", "off"};

/// One budget for all lines of level debug since the log was configured; all peers share it.
class debug_budget {
 public:
  using clock = std::chrono::steady_clock;

  /// Whether a line may be written now. `left_out`: suppressed lines to report now, else 0.
  bool take(std::uint64_t& left_out) {
    std::lock_guard lock{guard_};
    const auto now = clock::now();
    const std::chrono::duration<double> passed = now - since_;
    tokens_ = std::min<double>(debug_burst, tokens_ + passed.count() * debug_rate);
    since_ = now;
    const bool granted = tokens_ >= 1;
    if (granted)
      tokens_ -= 1;
    else
      ++left_out_;
    if (left_out_ > 0 && now >= reported_ + std::chrono::seconds{10}) {
      reported_ = now;
      left_out = std::exchange(left_out_, 0);
    }
    return granted;
  }
  void refill() {
    std::lock_guard lock{guard_};
    tokens_ = debug_burst;
    since_ = clock::now();
    reported_ = {};
    left_out_ = 0;
  }
  void lock() { guard_.lock(); }
  void unlock() { guard_.unlock(); }

 private:
  std::mutex guard_;
  double tokens_ = debug_burst;
  clock::time_point since_ = clock::now(), reported_{};
  std::uint64_t left_out_ = 0;
};

struct state {
  present_levels now;
  present_levels configured;
  format form = format::text;
  std::shared_ptr<detail::output> to;
  diverted_fn diverted;
  std::shared_ptr<const observer_fn> observer;
};

/// Never destroyed, because threads log until the process ends.
struct log_of_process {
  log_of_process() {
    state first;
    first.to = detail::output::standard_error();
    first.observer = std::make_shared<const observer_fn>();
    current = std::make_shared<const state>(std::move(first));
  }
  std::mutex guard;
  std::shared_ptr<const state> current;
  debug_budget debug_lines;
  /// No component has a lower threshold: most calls of `debug` end here.
  std::atomic<level> lowest{level::info};
};

log_of_process& process_log() {
  static auto& one = *new log_of_process;
  return one;
}

level lowest_of(const present_levels& l) {
  auto out = l.threshold;
  for (const auto& [name, own] : l.components) out = std::min(out, own);
  return out;
}

/// Returns the former state, so that the caller can release it without the lock.
std::shared_ptr<const state> replace_locked(log_of_process& log, state fresh) {
  if (!fresh.observer) fresh.observer = log.current->observer;
  auto lowest = lowest_of(fresh.now);
  if (*fresh.observer) lowest = std::min(lowest, level::info);
  log.lowest.store(lowest, std::memory_order_relaxed);
  return std::exchange(log.current, std::make_shared<const state>(std::move(fresh)));
}

std::shared_ptr<const state> snapshot() {
  auto& log = process_log();
  std::lock_guard lock{log.guard};
  return log.current;
}

level threshold_of(const present_levels& l, std::string_view component) {
  const auto it = l.components.find(component);
  return it == l.components.end() ? l.threshold : it->second;
}

/// A line for the output of this state.
void append_for(const state& s, detail::line_buffer& line, level l, component c, std::string_view event,
                std::string_view text, std::initializer_list<field> fields) {
  if (s.to->is_journal()) line.append(detail::priority_of(l));
  detail::append_line(line, s.form, l, c.name(), event, text, fields);
}

bool observes(const state& s, level l) { return *s.observer && l >= level::info && l < level::off; }

/// A child made by fork has one thread: a mutex that another thread held would stay locked.
struct fork_handlers {
  fork_handlers() {
    pthread_atfork(
        [] {
          process_log().guard.lock();
          process_log().debug_lines.lock();
          detail::writer::instance().before_fork();
        },
        [] {
          detail::writer::instance().after_fork_in_parent();
          release();
        },
        [] {
          detail::writer::instance().after_fork_in_child();
          release();
        });
  }
  static void release() {
    process_log().debug_lines.unlock();
    process_log().guard.unlock();
  }
};
const fork_handlers registered;

}  // namespace

std::string component_list() {
  std::string out;
  for (const auto name : component_names) out.append(out.empty() ? "" : ", ").append(name);
  return out;
}

status configure(const settings& s) {
  state fresh;
  fresh.configured = fresh.now = {s.threshold, s.components};
  fresh.form = s.form;
  CPNS_TRY(fresh.to, detail::output::open(s.file));
  CPNS_CHECK(detail::writer::instance().start());
  auto& log = process_log();
  std::shared_ptr<const state> former;
  std::lock_guard lock{log.guard};
  detail::writer::instance().use(fresh.to, fresh.form);
  former = replace_locked(log, std::move(fresh));
  log.debug_lines.refill();
  return {};
}

void divert(level threshold, diverted_fn to) {
  state fresh;
  fresh.configured.threshold = fresh.now.threshold = threshold;
  fresh.diverted = std::move(to);
  auto& log = process_log();
  std::shared_ptr<const state> former;
  std::lock_guard lock{log.guard};
  former = replace_locked(log, std::move(fresh));
}

void observe(observer_fn to) {
  auto& log = process_log();
  std::shared_ptr<const state> former;
  std::lock_guard lock{log.guard};
  auto fresh = *log.current;
  fresh.observer = std::make_shared<const observer_fn>(std::move(to));
  former = replace_locked(log, std::move(fresh));
}

bool enabled(level l, component c) {
  if (l < process_log().lowest.load(std::memory_order_relaxed)) return false;
  const auto s = snapshot();
  return observes(*s, l) || l >= threshold_of(s->now, c.name());
}

void write(level l, component c, std::string_view event, std::string_view text,
           std::initializer_list<field> fields) {
  auto& log = process_log();
  if (l < log.lowest.load(std::memory_order_relaxed)) return;
  const auto s = snapshot();
  if (observes(*s, l)) (*s->observer)({l, c, event, text, fields});
  if (l < threshold_of(s->now, c.name())) return;
  detail::line_buffer line;
  if (s->diverted) {
    line.append(text.data(), text.data() + text.size());  // the receiver escapes it
    detail::append_fields(line, fields);
    return s->diverted(l, event, {line.data(), line.size()});
  }
  auto& writer = detail::writer::instance();
  if (l == level::debug) {
    std::uint64_t left_out = 0;
    const bool granted = log.debug_lines.take(left_out);
    if (left_out > 0) {
      append_for(*s, line, level::info, c, "debug-lines-left-out",
                 "too many debug lines; the others were dropped", {{"count", std::to_string(left_out)}});
      writer.put(s->to, {line.data(), line.size()}, false);
      line.clear();
    }
    if (!granted) return;
  }
  append_for(*s, line, l, c, event, text, fields);
  writer.put(s->to, {line.data(), line.size()}, l == level::error);
}

bool flush(std::chrono::milliseconds limit) { return detail::writer::instance().flush(limit); }

counters statistics() { return detail::writer::instance().counts(); }

present_levels levels() { return snapshot()->now; }

level level_of(component c) { return threshold_of(snapshot()->now, c.name()); }

status set_level(std::string_view component, std::optional<level> l) {
  if (!component.empty() && !is_component(component))
    return fail(errc::state_unknown,
                "the log has no component " + shown(component) + "; its components are " + component_list());
  if (component.empty() && !l)
    return fail(errc::config_range, "the log needs a level for components that have none of their own");
  auto& log = process_log();
  std::shared_ptr<const state> former;
  std::lock_guard lock{log.guard};
  auto fresh = *log.current;
  if (component.empty())
    fresh.now.threshold = *l;
  else if (l)
    fresh.now.components.insert_or_assign(std::string{component}, *l);
  else if (const auto own = fresh.now.components.find(component); own != fresh.now.components.end())
    fresh.now.components.erase(own);
  former = replace_locked(log, std::move(fresh));
  return {};
}

void reset_levels() {
  auto& log = process_log();
  std::shared_ptr<const state> former;
  std::lock_guard lock{log.guard};
  auto fresh = *log.current;
  fresh.now = fresh.configured;
  former = replace_locked(log, std::move(fresh));
}

std::string_view journal_priority(level l) {
  return detail::output::standard_error()->is_journal() ? detail::priority_of(l) : std::string_view{};
}

std::string_view name_of(level l) { return level_names[static_cast<std::size_t>(l)]; }

result<level> parse_level(std::string_view text) {
  for (std::size_t i = 0; i < level_names.size(); ++i)
    if (level_names[i] == text) return static_cast<level>(i);
  return fail(errc::config_range, "a log level is debug, info, warn, error or off");
}

}  // namespace cpns::log
