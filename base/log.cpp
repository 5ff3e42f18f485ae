#include "base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

#include "base/bytes.hpp"

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

 private:
  std::mutex guard_;
  double tokens_ = debug_burst;
  clock::time_point since_ = clock::now(), reported_{};
  std::uint64_t left_out_ = 0;
};

struct state {
  settings now;
  std::shared_ptr<spdlog::logger> out;
  diverted_fn diverted;
  std::shared_ptr<debug_budget> debug_lines = std::make_shared<debug_budget>();
};

std::mutex guard;

std::shared_ptr<const state>& current() {
  static std::shared_ptr<const state> s = [] {
    auto fresh = std::make_shared<state>();
    fresh->out = std::make_shared<spdlog::logger>("cpns", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    fresh->out->set_pattern("%v");
    fresh->out->set_level(spdlog::level::trace);
    return fresh;
  }();
  return s;
}

std::shared_ptr<const state> snapshot() {
  std::lock_guard lock{guard};
  return current();
}

bool passes(const settings& s, level l, std::string_view component) {
  const auto it = s.components.find(component);
  return l >= (it == s.components.end() ? s.threshold : it->second);
}

/// One line of valid UTF-8 without control characters, also for hostile names of radios and plugins.
void append_escaped(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text[0]);
    const auto length = std::max<std::size_t>(utf8_length(as_bytes(text)), 1);
    const bool c1 = length == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[0];
    } else if (c1) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(text[1]));
    } else if (c < 0x20 || c == 0x7f || (c >= 0x80 && length == 1)) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
}

bool is_plain(std::string_view value) {
  if (value.empty()) return false;
  for (unsigned char c : value)
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return false;
  return true;
}

std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const auto seconds = std::chrono::system_clock::to_time_t(now);
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

std::string as_json(level l, std::string_view component, std::string_view event, std::string_view text,
                    std::initializer_list<field> fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","component":"{}","event":"{}","text":")",
                                 timestamp(), name_of(l), component, event);
  append_escaped(line, text);
  line += '"';
  for (const auto& f : fields) {
    line += fmt::format(",\"{}\":\"", f.key);
    append_escaped(line, f.value);
    line += '"';
  }
  return line + "}";
}

void append_fields(std::string& line, std::initializer_list<field> fields) {
  for (const auto& f : fields) {
    line += fmt::format(" {}=", f.key);
    const bool plain = is_plain(f.value);
    if (!plain) line += '"';
    append_escaped(line, f.value);
    if (!plain) line += '"';
  }
}

std::string as_line(level l, std::string_view component, std::string_view event, std::string_view text,
                    std::initializer_list<field> fields) {
  std::string line = fmt::format("{} {:<5} {} {}: ", timestamp(), name_of(l), component, event);
  append_escaped(line, text);
  append_fields(line, fields);
  return line;
}

}  // namespace

status configure(const settings& s) {
  auto fresh = std::make_shared<state>();
  fresh->now = s;
  try {
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (s.file.empty())
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    else
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(s.file);
    fresh->out = std::make_shared<spdlog::logger>("cpns", std::move(sink));
  } catch (const spdlog::spdlog_ex&) {
    return fail(errc::config_file, "the log file " + s.file + " cannot be opened for writing");
  }
  fresh->out->set_pattern("%v");
  fresh->out->set_level(spdlog::level::trace);
  fresh->out->flush_on(spdlog::level::trace);
  std::lock_guard lock{guard};
  current() = std::move(fresh);
  return {};
}

void divert(level threshold, diverted_fn to) {
  auto fresh = std::make_shared<state>();
  fresh->now.threshold = threshold;
  fresh->diverted = std::move(to);
  std::lock_guard lock{guard};
  current() = std::move(fresh);
}

bool enabled(level l, std::string_view component) { return passes(snapshot()->now, l, component); }

void write(level l, std::string_view component, std::string_view event, std::string_view text,
           std::initializer_list<field> fields) {
  const auto s = snapshot();
  if (!passes(s->now, l, component)) return;
  if (s->diverted) {
    std::string line{text};  // the receiver escapes it
    append_fields(line, fields);
    return s->diverted(l, event, line);
  }
  const auto put = [&s](level at, auto... parts) {
    s->out->info(s->now.form == format::json ? as_json(at, parts...) : as_line(at, parts...));
  };
  if (l == level::debug) {
    std::uint64_t left_out = 0;
    const bool granted = s->debug_lines->take(left_out);
    if (left_out > 0)
      put(level::info, component, "debug-lines-left-out", "too many debug lines; the others were dropped",
          std::initializer_list<field>{{"count", std::to_string(left_out)}});
    if (!granted) return;
  }
  put(l, component, event, text, fields);
}

std::string_view name_of(level l) { return level_names[static_cast<std::size_t>(l)]; }

result<level> parse_level(std::string_view text) {
  for (std::size_t i = 0; i < level_names.size(); ++i)
    if (level_names[i] == text) return static_cast<level>(i);
  return fail(errc::config_range, "a log level is debug, info, warn, error or off");
}

}  // namespace cpns::log
