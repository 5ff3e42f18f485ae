#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plugins/host/loader.hpp"
#include "plugins/isolation/process.hpp"
#include "plugins/isolation/wire.hpp"

namespace cpns::plugins::isolation {
namespace {

constexpr std::size_t reports_queued_max = 1024 * 1024;  // bytes; above it the plugin's threads wait
constexpr int retry_ms = 1;             // between sends of a message that the plugin had no room for
constexpr unsigned orphan_limit_s = 5;  // for closing the plugin when the role is gone

/// Queue of reports to the role, sent by its own thread, because the thread that reads commands may be inside the
/// plugin. [thread-safe]
class report_queue {
 public:
  explicit report_queue(int fd) : fd_(fd), sender_([this] { run(); }) { sender_.detach(); }

  /// Waits while the queue is full, so that a slow role slows down its peers.
  void add_when_free(const report& r) {
    std::unique_lock lock{guard_};
    room_.wait(lock, [this] { return queued_.bytes_held() < reports_queued_max; });
    put(r);
  }
  void add(const report& r) {
    std::lock_guard lock{guard_};
    put(r);
  }
  void add_or_drop(const report& r) {
    std::lock_guard lock{guard_};
    if (queued_.bytes_held() < reports_queued_max) put(r);
  }
  /// Waits until all reports are sent.
  void flush() {
    std::unique_lock lock{guard_};
    room_.wait(lock, [this] { return queued_.empty() && !sending_; });
  }

 private:
  void put(const report& r) {
    if (!queued_.add(r)) ::_exit(3);  // cannot happen: all texts of reports are cut to their bounds
    more_.notify_one();
  }
  void run() {
    std::unique_lock lock{guard_};
    for (;;) {
      more_.wait(lock, [this] { return !queued_.empty(); });
      const auto packet = queued_.take();
      sending_ = true;
      lock.unlock();
      while (::send(fd_, packet.data(), packet.size(), MSG_NOSIGNAL) < 0)
        if (errno != EINTR) ::_exit(0);  // the role is gone
      lock.lock();
      sending_ = false;
      room_.notify_all();
    }
  }

  const int fd_;
  std::mutex guard_;
  std::condition_variable more_, room_;
  packets queued_;
  bool sending_ = false;
  std::thread sender_;
};

/// Reports the plugin's events to the role. Events that precede the report that the plugin is open wait for it.
class reporter final : public transport_listener {
 public:
  explicit reporter(report_queue& out) : out_(out) {}
  void opened(const transport_info& info) {
    out_.add(opened_report{info});
    std::lock_guard lock{guard_};
    open_ = true;
    opened_.notify_all();
  }
  void link_up(link_id link, endpoint_id endpoint, std::string address) override {
    wait_until_open();
    out_.add_when_free(up_report{link, endpoint, cut(address, address_max)});
    std::lock_guard lock{guard_};
    qualities_[link];
  }
  void link_down(link_id link, std::string reason) override {
    wait_until_open();
    {
      std::lock_guard lock{guard_};
      qualities_.erase(link);
    }
    out_.add_when_free(down_report{link, cut(reason)});
  }
  void message(link_id link, bytes data) override {
    wait_until_open();
    out_.add_when_free(message_report{link, data});
  }
  void peer_found(std::string address, std::int32_t rssi) override {
    if (open_) out_.add_or_drop(found_report{cut(address, address_max), rssi});
  }
  void connect_failed(std::string address, std::string why) override {
    wait_until_open();
    out_.add_when_free(connect_failed_report{cut(address, address_max), cut(why)});
  }
  void woke(std::string address) override {
    if (open_) out_.add_or_drop(woke_report{cut(address, address_max)});
  }
  /// Reports the link qualities that changed since the last call.
  void report_qualities(const transport& radio) {
    std::vector<std::pair<link_id, link_quality>> reported;
    {
      std::lock_guard lock{guard_};
      reported.assign(qualities_.begin(), qualities_.end());
    }
    for (auto& [link, quality] : reported) {
      const auto now = radio.quality(link);
      if (now == std::exchange(quality, now)) continue;
      std::lock_guard lock{guard_};
      const auto it = qualities_.find(link);
      if (it != qualities_.end()) out_.add_or_drop(quality_report{link, it->second = quality});
    }
  }
  void failed(error why) override { out_.add(failed_report{cut(why.detail)}); }

 private:
  void wait_until_open() {
    if (open_) return;
    std::unique_lock lock{guard_};
    opened_.wait(lock, [this] { return open_.load(); });
  }
  report_queue& out_;
  std::mutex guard_;
  std::condition_variable opened_;
  std::unordered_map<link_id, link_quality> qualities_;  ///< of links that are up, as reported
  std::atomic<bool> open_{false};
};

class child {
 public:
  explicit child(int fd) : fd_(fd), out_(*new report_queue{fd}), reporter_(*new reporter{out_}) {}

  [[noreturn]] void serve() {
    bytes buffer(packet_max + 1);
    for (;;) {
      pollfd p{fd_, POLLIN, 0};
      const int ready = ::poll(&p, 1, held_.empty() ? -1 : retry_ms);
      if (ready > 0) {
        const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) end(true);
        const auto commands = read_commands({buffer.data(), static_cast<std::size_t>(n)});
        if (!commands) ::_exit(4);
        for (const auto& c : *commands) std::visit([this](const auto& one) { apply(one); }, c);
      }
      if (!held_.empty()) send_held();
      report_taken();
    }
  }

 private:
  void apply(const open_command& c) {
    forward_log(c.level);
    auto opened = load_transport({c.plugin, c.role, c.params, {}}, reporter_);
    if (!opened) {
      out_.add(
          refused_report{opened.error().code, cut(opened.error().detail), cut(opened.error().parameter)});
      out_.flush();
      ::_exit(1);
    }
    radio_ = std::move(*opened);
    reporter_.opened(radio_->info());
  }
  void apply(const scan_command& c) { outcome(radio().scan(c.on), 0); }
  void apply(const connect_command& c) {
    if (const auto asked = radio().connect(c.address); !asked)
      out_.add(connect_failed_report{c.address, cut(asked.error().message())});
  }
  void apply(const cancel_command& c) { radio().cancel(c.address); }
  void apply(const add_command& c) { outcome(radio().add_endpoint(c.endpoint, c.name), c.endpoint); }
  void apply(const remove_command& c) { outcome(radio().remove_endpoint(c.endpoint), 0); }
  void apply(const send_command& c) {
    // Keeps the order of messages that already wait for this link.
    const auto held = held_.find(c.link);
    if (held == held_.end() && try_send(c.link, c.message)) return;
    held_[c.link].push_back(to_bytes(c.message));
  }
  void apply(const disconnect_command& c) { radio().disconnect(c.link); }
  void apply(const ping_command& c) {
    if (c.level != level_) forward_log(c.level);
    out_.add(pong_report{c.number});
    if (!radio_) return;
    reporter_.report_qualities(*radio_);
    out_.add_or_drop(counters_report{radio_->counters()});
  }
  void apply(const power_command& c) { outcome(radio().set_power(c.power), 0); }
  void apply(const forget_command& c) { radio().forget_pairing(c.address); }
  void apply(const close_command&) { end(false); }

  transport& radio() {
    if (!radio_) ::_exit(4);  // a command before open
    return *radio_;
  }
  void outcome(const status& s, endpoint_id endpoint) {
    if (!s) out_.add(call_failed_report{endpoint, cut(s.error().message())});
  }
  /// False if the plugin's queue is full; then retry later.
  bool try_send(link_id link, byte_view message) {
    const auto sent = radio().send(link, message);
    if (!sent && sent.error().code == errc::state_overloaded) return false;
    ++taken_[link];
    return true;
  }
  void send_held() {
    for (auto it = held_.begin(); it != held_.end();) {
      auto& queue = it->second;
      while (!queue.empty() && try_send(it->first, queue.front())) queue.pop_front();
      it = queue.empty() ? held_.erase(it) : std::next(it);
    }
  }
  void report_taken() {
    for (const auto& [link, messages] : taken_) out_.add(taken_report{link, messages});
    taken_.clear();
  }
  void forward_log(log::level level) {
    level_ = level;
    log::divert(level, [this](log::level l, std::string_view event, std::string_view text) {
      out_.add_or_drop(log_report{l, std::string{event}, cut(text)});
    });
  }
  /// `orphaned`: the role is gone and cannot kill this process if closing the plugin takes too long.
  [[noreturn]] void end(bool orphaned) {
    if (orphaned) ::alarm(orphan_limit_s);
    if (radio_) radio_->close();
    if (!orphaned) out_.flush();
    ::_exit(0);
  }

  const int fd_;
  // Never freed: threads of the plugin may use them until the process ends.
  report_queue& out_;
  reporter& reporter_;
  std::unique_ptr<transport> radio_;
  log::level level_ = log::level::info;
  std::unordered_map<link_id, std::deque<bytes>> held_;  ///< messages that the plugin has no room for
  std::unordered_map<link_id, std::uint32_t> taken_;     ///< messages taken since the last report
};

}  // namespace

int radio_child_main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int fd = std::atoi(argv[2]);
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) return 2;
  // The end of the socket shows that the role is gone; this also covers a plugin that blocks the reading thread.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  // A signal may go to the role's process group or service as a whole; the role decides when to close the radio.
  for (int s : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(s, SIG_IGN);
  // Keeps the plugin's prints out of the role's standard output.
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  child{fd}.serve();
}

}  // namespace cpns::plugins::isolation
