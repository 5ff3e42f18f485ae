#include "actors/late_radio.hpp"

#include <atomic>
#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/seldom.hpp"

namespace cpns::actors {
namespace {

using namespace plugins;

class late_radio final : public transport {
 public:
  late_radio(std::string name, std::string why, open_fn open, late_radio_events events, milliseconds pause)
      : open_(std::move(open)), events_(std::move(events)), pause_(pause), why_(std::move(why)) {
    none_.name = std::move(name);
    // Nothing is known before it opens, so no limit of it may keep a role from starting.
    none_.max_links = none_.max_endpoints = std::numeric_limits<std::uint32_t>::max();
    thread_ = std::thread{[this] { run(); }};
  }
  ~late_radio() override { late_radio::close(); }

  [[nodiscard]] const transport_info& info() const override {
    const auto* t = real();
    return t != nullptr ? t->info() : none_;
  }
  [[nodiscard]] transport_state state() const override {
    if (const auto* t = real()) return t->state();
    std::lock_guard lock{why_guard_};
    return {transport_state::kind_t::waiting, why_};
  }
  status scan(bool on) override {
    std::unique_lock lock{guard_};
    if (auto* t = real()) return lock.unlock(), t->scan(on);
    CPNS_CHECK(not_closed());
    scanning_ = on;
    return {};
  }
  status connect(std::string_view address) override {
    if (auto* t = real()) return t->connect(address);
    return not_open();
  }
  void cancel(std::string_view address) override {
    if (auto* t = real()) t->cancel(address);
  }
  status add_endpoint(endpoint_id endpoint, std::string_view name) override {
    std::unique_lock lock{guard_};
    if (auto* t = real()) return lock.unlock(), t->add_endpoint(endpoint, name);
    CPNS_CHECK(not_closed());
    if (!endpoints_.emplace(endpoint, std::string{name}).second) return fail(errc::state_exists, none_.name);
    return {};
  }
  status remove_endpoint(endpoint_id endpoint) override {
    std::unique_lock lock{guard_};
    if (auto* t = real()) return lock.unlock(), t->remove_endpoint(endpoint);
    CPNS_CHECK(not_closed());
    endpoints_.erase(endpoint);
    return {};
  }
  status send(link_id link, byte_view message) override {
    if (auto* t = real()) return t->send(link, message);
    return not_open();
  }
  void disconnect(link_id link) override {
    if (auto* t = real()) t->disconnect(link);
  }
  status set_power(power_level p) override {
    std::unique_lock lock{guard_};
    if (auto* t = real()) return lock.unlock(), t->set_power(p);
    CPNS_CHECK(not_closed());
    power_ = p;
    return {};
  }
  void forget_pairing(std::string_view address) override {
    if (auto* t = real()) t->forget_pairing(address);
  }
  [[nodiscard]] link_quality quality(link_id link) const override {
    const auto* t = real();
    return t != nullptr ? t->quality(link) : link_quality{};
  }
  [[nodiscard]] std::vector<named_counter> counters() const override {
    const auto* t = real();
    return t != nullptr ? t->counters() : std::vector<named_counter>{};
  }
  void close() override {
    {
      std::lock_guard lock{guard_};
      closed_ = true;
      wake_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
    if (auto* t = real()) t->close();
  }

 private:
  [[nodiscard]] transport* real() const { return real_.load(std::memory_order_acquire); }
  [[nodiscard]] status not_closed() const {
    if (closed_) return fail(errc::state_stopping, none_.name + " is closed");
    return {};
  }
  [[nodiscard]] status not_open() const {
    return fail(errc::plugin_link, none_.name + ": the radio is not open yet");
  }

  void run() {
    seldom failures;
    for (;;) {
      {
        std::unique_lock lock{guard_};
        if (wake_.wait_for(lock, pause_, [this] { return closed_; })) return;
      }
      auto opened = open_();
      if (opened) return take(std::move(*opened));
      const error why{opened.error().code, opened.error().detail};
      {
        std::lock_guard lock{why_guard_};
        why_ = why.detail;
      }
      if (failures.due(now_anchored(), why.detail)) events_.refused(why);
    }
  }

  /// Applies the pending settings before any later call reaches the radio.
  void take(std::unique_ptr<transport> t) {
    std::lock_guard lock{guard_};
    owned_ = std::move(t);
    events_.open(owned_->info());
    const auto report = [this](const status& s) {
      if (!s) events_.refused(s.error());
    };
    if (power_) report(owned_->set_power(*power_));
    for (const auto& [endpoint, name] : endpoints_) report(owned_->add_endpoint(endpoint, name));
    endpoints_.clear();
    if (scanning_) report(owned_->scan(true));
    real_.store(owned_.get(), std::memory_order_release);
  }

  const open_fn open_;
  const late_radio_events events_;
  const milliseconds pause_;
  transport_info none_;
  mutable std::mutex why_guard_;  ///< another one, because guard_ is held while the radio is set up
  std::string why_;               ///< the last failure; guarded by why_guard_
  std::mutex guard_;
  std::condition_variable wake_;
  // Guarded by guard_:
  bool closed_ = false, scanning_ = false;
  std::optional<power_level> power_;
  std::map<endpoint_id, std::string> endpoints_;
  std::unique_ptr<transport> owned_;
  std::atomic<transport*> real_{nullptr};  // `owned_`, once the pending settings are applied
  std::thread thread_;
};

}  // namespace

std::unique_ptr<transport> make_late_radio(std::string name, std::string why, open_fn open,
                                           late_radio_events events, milliseconds pause) {
  return std::make_unique<late_radio>(std::move(name), std::move(why), std::move(open), std::move(events),
                                      pause);
}

}  // namespace cpns::actors
