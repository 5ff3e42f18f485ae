#include "plugins/isolation/isolated_transport.hpp"

#include <poll.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "plugins/isolation/session.hpp"

namespace cpns::plugins::isolation {
namespace {

constexpr std::size_t commands_waiting_max = 4 * 1024 * 1024;  // bytes queued while the child reads none

std::uint64_t drawn_below(std::uint64_t n) {
  static thread_local std::minstd_rand draw{std::random_device{}()};
  return std::uniform_int_distribution<std::uint64_t>{0, n - 1}(draw);
}

// Fewer failed starts in a row are logged as warnings, this number and more as errors.
constexpr unsigned failed_starts_before_error = 5;

class isolated_transport final : public transport {
 public:
  isolated_transport(transport_spec spec, isolation_settings settings, transport_listener& listener)
      : spec_(std::move(spec)), settings_(std::move(settings)), listener_(listener), shared_(spec_.role) {
    if (!settings_.below) settings_.below = drawn_below;
  }
  ~isolated_transport() override { isolated_transport::close(); }

  open_result<void> start() {
    if (shared_.wake_fd < 0)
      return fail(errc::plugin_load, "cannot create an eventfd for the radio's thread");
    auto outcome = first_.get_future();
    thread_ = std::thread{[this] { run(); }};
    auto info = outcome.get();
    if (!info) return tl::unexpected{std::move(info).error()};
    info_ = std::move(*info);
    return {};
  }

  const transport_info& info() const override { return info_; }
  transport_state state() const override {
    std::lock_guard lock{shared_.guard};
    if (shared_.accepting) return {};
    return {transport_state::kind_t::waiting, "its process starts again: " + why_};
  }

  status scan(bool on) override {
    std::lock_guard lock{shared_.guard};
    CPNS_CHECK(not_closed());
    CPNS_CHECK(only_for(transport_role::central, "scan"));
    shared_.book.set_scan(on);
    return order(scan_command{on});
  }
  status connect(std::string_view address) override {
    std::lock_guard lock{shared_.guard};
    CPNS_CHECK(not_closed());
    const auto what = "connecting to " + std::string{address};
    CPNS_CHECK(only_for(transport_role::central, what));
    if (!shared_.accepting)
      return fail(errc::plugin_failed, info_.name + ": " + what + ": the radio is restarting");
    if (shared_.out.bytes_held() > commands_waiting_max)
      return fail(errc::state_overloaded, info_.name + ": " + what);
    CPNS_CHECK(order(connect_command{std::string{address}}));
    shared_.book.connecting(std::string{address});
    return {};
  }
  void cancel(std::string_view address) override {
    std::lock_guard lock{shared_.guard};
    if (!shared_.closing && shared_.out.bytes_held() <= commands_waiting_max)
      (void)order(cancel_command{std::string{address}});
  }
  status add_endpoint(endpoint_id endpoint, std::string_view name) override {
    std::lock_guard lock{shared_.guard};
    CPNS_CHECK(not_closed());
    CPNS_CHECK(shared_.book.add_endpoint(endpoint, cut(name), info_.max_endpoints, info_.name));
    return order(add_command{endpoint, cut(name)});
  }
  status remove_endpoint(endpoint_id endpoint) override {
    std::lock_guard lock{shared_.guard};
    CPNS_CHECK(not_closed());
    shared_.book.remove_endpoint(endpoint);
    return order(remove_command{endpoint});
  }
  status send(link_id link, byte_view message) override {
    if (message.empty() || message.size() > message_max)
      return fail(errc::wire_oversized, "a message has 1 to " + std::to_string(message_max) +
                                            " bytes, this one has " + std::to_string(message.size()));
    std::lock_guard lock{shared_.guard};
    CPNS_CHECK(not_closed());
    CPNS_TRY(const auto child, shared_.book.reserve(link));
    return order(send_command{child, message});
  }
  void disconnect(link_id link) override {
    std::lock_guard lock{shared_.guard};
    if (const auto child = shared_.book.child_id(link); child != 0 && !shared_.closing)
      (void)order(disconnect_command{child});
  }
  void close() override {
    std::call_once(closed_, [this] {
      {
        std::lock_guard lock{shared_.guard};
        shared_.closing = true;
        shared_.wake();
      }
      if (thread_.joinable()) thread_.join();
    });
  }
  status set_power(power_level p) override {
    std::lock_guard lock{shared_.guard};
    CPNS_CHECK(not_closed());
    shared_.book.set_power(p);
    return order(power_command{p});
  }
  void forget_pairing(std::string_view address) override {
    std::lock_guard lock{shared_.guard};
    if (!shared_.closing && shared_.out.bytes_held() <= commands_waiting_max)
      (void)order(forget_command{std::string{address}});
  }
  link_quality quality(link_id link) const override {
    std::lock_guard lock{shared_.guard};
    return shared_.book.quality(link);
  }
  std::vector<named_counter> counters() const override {
    const auto own = isolation();
    std::vector<named_counter> out{{"process_ends", own.ends},
                                   {"process_restarts", own.restarts},
                                   {"process_hangs", own.hangs},
                                   {"process_broken_rules", own.broken_rules}};
    std::lock_guard lock{shared_.guard};
    for (auto& c : shared_.all_counters()) out.push_back(std::move(c));
    return out;
  }
  [[nodiscard]] isolation_counters isolation() const {
    return {ends_.load(), restarts_.load(), hangs_.load(), broken_rules_.load()};
  }

 private:
  // Call these with the guard held:
  status not_closed() const {
    if (shared_.closing) return fail(errc::state_stopping, info_.name + " is closed");
    return {};
  }
  status only_for(transport_role role, const std::string& what) const {
    if (spec_.role != role)
      return fail(errc::plugin_failed, info_.name + ": " + what + ": not supported in this role");
    return {};
  }
  status order(const command& c) {
    if (!shared_.accepting) return {};  // replayed to the next process if it is a lasting setting
    CPNS_CHECK(shared_.out.add(c));
    shared_.wake();
    return {};
  }

  // In the transport's thread:
  void run();
  void opened(const transport_info& info);
  bool report_losses(const std::string& why);
  bool pause(milliseconds p);

  transport_spec spec_;
  isolation_settings settings_;
  transport_listener& listener_;
  transport_info info_;
  mutable shared_state shared_;
  std::string why_;  ///< why the last process ended; guarded as shared_
  std::promise<open_result<transport_info>> first_;
  bool first_outcome_set_ = false;
  std::thread thread_;
  std::once_flag closed_;
  std::atomic<std::uint64_t> ends_{0}, restarts_{0}, hangs_{0}, broken_rules_{0};
};

void isolated_transport::opened(const transport_info& info) {
  if (!std::exchange(first_outcome_set_, true)) return first_.set_value(info);
  const auto restarts = ++restarts_;
  log::info(radio_component, "radio-restarted", "the radio is open again",
            {{"transport", settings_.name}, {"restarts", std::to_string(restarts)}});
}

/// False if the transport is being closed.
bool isolated_transport::report_losses(const std::string& why) {
  std::unique_lock lock{shared_.guard};
  shared_.accepting = false;
  why_ = why;
  shared_.out.clear();
  shared_.keep_counters();
  const auto lost = shared_.book.ended();
  const bool closing = shared_.closing;
  lock.unlock();
  if (closing) return false;
  for (const auto link : lost.links) listener_.link_down(link, why);
  for (const auto& address : lost.connects) listener_.connect_failed(address, why);
  return true;
}

/// False if the transport is being closed meanwhile.
bool isolated_transport::pause(milliseconds p) {
  const auto until = std::chrono::steady_clock::now() + p;
  for (;;) {
    {
      std::lock_guard lock{shared_.guard};
      if (shared_.closing) return false;
    }
    const auto left = std::chrono::ceil<milliseconds>(until - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    pollfd wake{shared_.wake_fd, POLLIN, 0};
    if (::poll(&wake, 1, static_cast<int>(left)) > 0) shared_.woken();
  }
}

void isolated_transport::run() {
  backoff pauses{settings_.pauses, settings_.below};
  unsigned failed_starts = 0;
  for (;;) {
    std::optional<session> one;
    one.emplace(shared_, spec_, settings_, listener_, [this](const transport_info& i) { opened(i); });
    const auto end = one->run();
    const auto pid = one->pid();
    ++ends_;
    hangs_ += one->hung() ? 1 : 0;
    broken_rules_ += one->broke_rule() ? 1 : 0;
    one.reset();
    if (!report_losses(end.why.detail) && first_outcome_set_) return;
    if (!first_outcome_set_) return first_.set_value(tl::unexpected{end.why});
    const auto wait = pauses.after(end.lived);
    failed_starts = end.refused ? failed_starts + 1 : 0;
    log::write(failed_starts < failed_starts_before_error ? log::level::warn : log::level::error,
               radio_component, "radio-ended", end.refused ? end.why.message() : end.why.detail,
               {{"transport", settings_.name},
                {"pid", std::to_string(pid)},
                {"ends", std::to_string(ends_)},
                {"starts_in_vain", std::to_string(failed_starts)},
                {"again_in_ms", std::to_string(wait.count())}});
    if (!pause(wait)) return;
  }
}

}  // namespace

open_result<std::unique_ptr<transport>> open_isolated(const transport_spec& spec, isolation_settings settings,
                                                      transport_listener& listener) {
  auto made = std::make_unique<isolated_transport>(spec, std::move(settings), listener);
  if (auto started = made->start(); !started) return tl::unexpected{std::move(started).error()};
  return std::unique_ptr<transport>{std::move(made)};
}

isolation_counters isolation_counters_of(const transport& t) {
  const auto* isolated = dynamic_cast<const isolated_transport*>(&t);
  return isolated == nullptr ? isolation_counters{} : isolated->isolation();
}

}  // namespace cpns::plugins::isolation
