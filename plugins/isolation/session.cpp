#include "plugins/isolation/session.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "plugins/host/child_process.hpp"

namespace cpns::plugins::isolation {
namespace {

constexpr int packets_per_round = 64;
constexpr int packets_at_end = 4096;  // bounded, because a surviving descendant could write forever
constexpr unsigned log_lines_per_second = 50;
constexpr milliseconds kill_limit{1'000};
constexpr std::size_t sums_max = 256;  // counter names, over all processes
// Bounds the memory for a child that does not read; more than the messages of a full window.
constexpr std::size_t waiting_max = 32 * 1024 * 1024;
static_assert(waiting_max > 3 * link_book::window_of_all * message_max / 2);

}  // namespace

shared_state::shared_state(transport_role role)
    : wake_fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)), book(role) {}
shared_state::~shared_state() {
  if (wake_fd >= 0) ::close(wake_fd);
}

void shared_state::wake() {
  if (std::exchange(woken_, true)) return;
  const std::uint64_t one = 1;
  (void)!::write(wake_fd, &one, sizeof one);
}

void shared_state::woken() {
  std::uint64_t count = 0;
  (void)!::read(wake_fd, &count, sizeof count);
  std::lock_guard lock{guard};
  woken_ = false;
}

void shared_state::keep_counters() { past = all_counters(), present.clear(); }

std::vector<named_counter> shared_state::all_counters() const {
  auto sums = past;
  for (const auto& c : present) {
    const auto it = std::find_if(sums.begin(), sums.end(), [&](const auto& o) { return o.name == c.name; });
    if (it != sums.end())
      it->value += c.value;
    else if (sums.size() < sums_max)
      sums.push_back(c);
  }
  return sums;
}

session::session(shared_state& shared, const transport_spec& spec, const isolation_settings& settings,
                 transport_listener& listener, std::function<void(const transport_info&)> opened)
    : shared_(shared), spec_(spec), settings_(settings), listener_(listener), opened_(std::move(opened)),
      begun_(clock::now()) {}

session_end session::run() {
  if (auto begun = begin(); !begun) return {std::move(begun).error(), !process_, milliseconds{0}};
  next_beat_ = begun_ + settings_.beat;
  flush();
  for (;;) {
    wait();
    read(process_over_ ? packets_at_end : packets_per_round);
    if (process_over_) {
      if (const auto how = process_->ended()) return finish(*how);
    }
    if (killed_at_ && clock::now() - *killed_at_ >= kill_limit) return finish("cannot be killed");
    flush();
    if (clock::now() >= next_beat_) beat();
  }
}

status session::begin() {
  CPNS_TRY(file_, find_plugin(spec_));
  CPNS_TRY(auto process, radio_process::start(settings_.name));
  process_.emplace(std::move(process));
  pid_ = process_->pid();
  std::lock_guard lock{shared_.guard};
  shared_.out.clear();
  return shared_.out.add(open_command{spec_.role, level_wanted(), file_, spec_.params});
}

void session::wait() {
  const auto wanted = static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT);
  pollfd p[3] = {{socket_over_ ? -1 : process_->socket(), wanted, 0},
                 {process_->watch(), POLLIN, 0},
                 {shared_.wake_fd, POLLIN, 0}};
  const auto left = std::chrono::ceil<milliseconds>(next_beat_ - clock::now()).count();
  ::poll(p, 3, static_cast<int>(std::max<std::int64_t>(left, 0)));
  if ((p[2].revents & POLLIN) != 0) shared_.woken();
  process_over_ = p[1].revents != 0;
}

void session::read(int packets_most) {
  for (int i = 0; i < packets_most && !socket_over_; ++i) {
    const auto n = ::recv(process_->socket(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      socket_over_ = true;
      // The process normally ends at the same time.
      if (!end_by_) end_by_ = clock::now() + kill_limit;
      return;
    }
    if (!reason_.empty() || refusal_) continue;
    const auto reports = read_reports({buffer_.data(), static_cast<std::size_t>(n)});
    if (!reports) return broken(reports.error().message());
    for (const auto& r : *reports) take(r);
  }
}

void session::flush() {
  bool closing = false, crowded = false;
  {
    std::lock_guard lock{shared_.guard};
    closing = shared_.closing;
    crowded = shared_.out.bytes_held() > waiting_max;
  }
  for (;;) {
    if (unsent_.empty()) {
      std::lock_guard lock{shared_.guard};
      if (shared_.out.empty()) break;
      unsent_ = shared_.out.take();
    }
    if (socket_over_) {
      unsent_.clear();
      continue;
    }
    if (::send(process_->socket(), unsent_.data(), unsent_.size(), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
      if (errno == EINTR) continue;
      if (errno == EPIPE || errno == ECONNRESET) {
        unsent_.clear();  // wait() notices the end of the process
        continue;
      }
      if (crowded && !killed_at_) return broken("it does not read its commands");
      break;
    }
    unsent_.clear();
  }
  if (closing && !closing_) {
    closing_ = true;
    request_close();
  }
}

void session::beat() {
  const auto now = clock::now();
  // Counted from now, not from the due time: a delay of the role must not count as one of the child.
  next_beat_ = now + settings_.beat;
  if (killed_at_) return;
  if (resident_bytes(pid_) > child_memory_max) return give_up(used_too_much(child_memory_max));
  if (end_by_) {
    if (now < *end_by_) return;
    return give_up(reason_.empty()
                       ? (closing_ ? "did not close the plugin in time" : "closed its socket and did not end")
                       : reason_);
  }
  if (!open_) {
    if (++missed_ < settings_.missed_while_opening) return;
    hung_ = true;
    return give_up("did not open the plugin within " +
                   std::to_string(settings_.beat.count() * settings_.missed_while_opening) + " ms");
  }
  if (!ping_out_) {
    ping_out_ = true;
    missed_ = 0;
    order(ping_command{++ping_, level_wanted()});
    return flush();
  }
  if (++missed_ < settings_.missed_max) return;
  hung_ = true;
  give_up("did not answer for " + std::to_string(settings_.beat.count() * settings_.missed_max) + " ms");
}

void session::give_up(std::string why) {
  reason_ = std::move(why);
  process_->kill();
  killed_at_ = clock::now();
}

void session::broken(std::string_view rule) {
  broke_rule_ = true;
  socket_over_ = true;
  give_up("broke a rule: " + std::string{rule});
}

/// Asks the child to close the plugin and exit.
void session::request_close() {
  if (end_by_) return;
  end_by_ = clock::now() + settings_.close_limit;
  order(close_command{});
  flush();
}

session_end session::finish(const std::string& how) {
  const auto lived =
      open_ ? std::chrono::duration_cast<milliseconds>(clock::now() - opened_at_) : milliseconds{0};
  if (refusal_) return {std::move(*refusal_), true, lived};
  if (open_)
    return {error{errc::plugin_crashed, "the radio's process " + (reason_.empty() ? how : reason_)}, false,
            lived};
  const auto code = hung_ ? errc::plugin_hung : errc::plugin_crashed;
  return {error{code,
                file_ + (reason_.empty() ? " " + how + " while it was opened" : ": its process " + reason_) +
                    "; it is not loaded"},
          true, lived};
}

milliseconds session::uptime() const {
  return std::chrono::duration_cast<milliseconds>(clock::now() - begun_);
}

log::level session::level_wanted() const {
  for (const auto l : {log::level::debug, log::level::info, log::level::warn, log::level::error})
    if (log::enabled(l, radio_component)) return l;
  return log::level::off;
}

void session::order(const command& c) {
  std::lock_guard lock{shared_.guard};
  (void)shared_.out.add(c);  // cannot fail: these commands have a bounded size
}

void session::take(const report& r) {
  if (!reason_.empty() || refusal_) return;
  const bool any_time = std::holds_alternative<opened_report>(r) ||
                        std::holds_alternative<refused_report>(r) ||
                        std::holds_alternative<failed_report>(r) || std::holds_alternative<log_report>(r);
  if (!open_ && !any_time) return broken("it sent a report before the plugin was open");
  std::visit([this](const auto& one) { on(one); }, r);
}

void session::on(const opened_report& r) {
  if (open_) return broken("it reported twice that the plugin is open");
  open_ = true;
  opened_at_ = clock::now();
  missed_ = 0;
  {
    std::lock_guard lock{shared_.guard};
    shared_.book.opened(r.info.max_links, uptime());
    for (const auto& c : shared_.book.replay()) (void)shared_.out.add(c);
    shared_.accepting = true;
  }
  opened_(r.info);
}

void session::on(const refused_report& r) {
  if (open_) return broken("it reported an open plugin as refused");
  refusal_ = open_error{error{r.code, r.detail}, r.parameter};
  end_by_ = clock::now() + kill_limit;
}

void session::on(const up_report& r) {
  std::unique_lock lock{shared_.guard};
  if (shared_.closing) return;
  const auto own = shared_.book.up(r, uptime());
  lock.unlock();
  if (!own) return broken(own.error().detail);
  if (*own) return listener_.link_up(**own, r.endpoint, r.address);
  order(disconnect_command{r.link});
}

void session::on(const down_report& r) {
  std::unique_lock lock{shared_.guard};
  if (shared_.closing) return;
  const auto own = shared_.book.down(r.link);
  lock.unlock();
  if (!own) return broken(own.error().detail);
  if (*own) listener_.link_down(**own, r.reason);
}

void session::on(const message_report& r) {
  std::unique_lock lock{shared_.guard};
  if (shared_.closing) return;
  const auto own = shared_.book.message(r.link, r.message.size());
  lock.unlock();
  if (!own) return broken(own.error().detail);
  if (*own) listener_.message(**own, to_bytes(r.message));
}

void session::on(const found_report& r) {
  {
    std::lock_guard lock{shared_.guard};
    if (shared_.closing) return;
  }
  listener_.peer_found(r.address, r.rssi);
}

void session::on(const connect_failed_report& r) {
  {
    std::lock_guard lock{shared_.guard};
    if (shared_.closing) return;
    shared_.book.connect_failed(r.address);
  }
  listener_.connect_failed(r.address, r.why);
}

void session::on(const failed_report& r) {
  reason_ = "was ended because the radio failed: " + r.detail;
  if (!open_) return give_up(reason_);
  request_close();
}

void session::on(const taken_report& r) {
  missed_ = 0;
  std::unique_lock lock{shared_.guard};
  const auto kept = shared_.book.taken(r);
  lock.unlock();
  if (!kept) broken(kept.error().detail);
}

void session::on(const call_failed_report& r) {
  if (r.endpoint != 0) {
    std::lock_guard lock{shared_.guard};
    shared_.book.remove_endpoint(r.endpoint);
  }
  on(log_report{log::level::warn, "radio-call-failed", r.detail});
}

void session::on(const log_report& r) {
  const auto now = clock::now();
  if (now - log_second_ >= seconds{1}) {
    if (log_lines_ > log_lines_per_second)
      log::warn(
          radio_component, "plugin-log-cut",
          "the plugin logs too much: further lines of one second were dropped",
          {{"transport", settings_.name}, {"lines", std::to_string(log_lines_ - log_lines_per_second)}});
    log_second_ = now;
    log_lines_ = 0;
  }
  if (++log_lines_ > log_lines_per_second) return;
  log::write(r.level, radio_component, r.event, r.text, {{"transport", settings_.name}});
}

void session::on(const pong_report& r) {
  if (!ping_out_ || r.number != ping_) return broken("it answered a ping that was not sent");
  missed_ = 0;
  ping_out_ = false;
}

void session::on(const woke_report& r) {
  {
    std::lock_guard lock{shared_.guard};
    if (shared_.closing) return;
  }
  listener_.woke(r.address);
}

void session::on(const quality_report& r) {
  std::unique_lock lock{shared_.guard};
  const auto known = shared_.book.quality(r);
  lock.unlock();
  if (!known) broken(known.error().detail);
}

void session::on(const counters_report& r) {
  std::lock_guard lock{shared_.guard};
  shared_.present = r.counters;
}

}  // namespace cpns::plugins::isolation
