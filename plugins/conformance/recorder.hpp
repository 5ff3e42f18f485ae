#pragma once
// The host's side of one instance in a test: records the plugin's callbacks and checks them by the rules of
// plugins/abi/transport.h.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "plugins/conformance/bench.hpp"
#include "plugins/host/event_loop.hpp"

namespace cpns::conformance {

/// Upper bound of every wait for an expected event. Long, because machines may be busy; it expires only on a
/// fault.
inline constexpr std::chrono::seconds timeout{20};

/// [thread-safe] Never freed, because a misbehaving plugin may call back after close(): make it with
/// keep_recorder().
class recorder {
 public:
  /// State of the instance. Callbacks are allowed only in `started`.
  enum class phase : std::uint8_t { opening, opened, started, closed };
  struct link {
    std::uint64_t endpoint = 0;
    std::string address;
    bool up = true;
    std::vector<bytes> frames;  ///< empty without keep_frames
    std::uint64_t received = 0, writable = 0;
  };
  /// Called in the plugin's thread, without a lock, after the checks.
  struct hooks {
    std::function<void(std::uint64_t link)> up, down, writable;
    std::function<void(std::uint64_t link, std::span<const std::uint8_t>)> frame;
  };

  /// `simulated`, if given, replaces real time and must never be freed.
  recorder(bench& b, cpns_role role, plugins::simulated_clock* simulated = nullptr);
  /// The table for the plugin.
  [[nodiscard]] const cpns_host* table() const { return &table_; }
  /// Whether the plugin has asked for cpns.clock/1.
  [[nodiscard]] bool asked_for_clock() const { return asked_for_clock_.load(); }

  void enter(phase p) { phase_.store(p); }
  [[nodiscard]] phase now() const { return phase_.load(); }
  void expect_limits(const cpns_limits& limits);
  void expect_endpoint(std::uint64_t endpoint);
  /// Implements cpns.timer/1 and cpns.fd/1; ended when the instance is closed.
  plugins::event_loop loop;
  /// Set it only while no callback can run.
  hooks on;
  std::atomic<bool> keep_frames{true};

  template <class Holds>
  bool wait(Holds holds, std::chrono::milliseconds limit = timeout) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, limit, [&] { return holds(links_); });
  }
  std::vector<std::uint64_t> up() const;
  std::size_t count_up() const;
  std::uint64_t links_ever() const;
  std::vector<bytes> frames(std::uint64_t l) const;
  std::uint64_t callbacks() const { return callbacks_.load(); }
  /// Removes and returns the addresses of found peers.
  std::set<std::string> take_found();
  /// Waits for connect_failed of `address`.
  bool wait_unreached(const std::string& address, std::chrono::milliseconds limit = timeout);
  /// The parameter that bad_parameter named; empty: it was not called.
  std::string refused() const;
  /// The plugin's log lines of level warning and above, joined.
  std::string logged() const;

  void link_up(std::uint64_t l, std::uint64_t endpoint, const char* address);
  void link_down(std::uint64_t l, std::uint32_t reason, const char* detail);
  void frame(std::uint64_t l, const std::uint8_t* data, std::size_t size);
  void writable(std::uint64_t l);
  void peer_found(const char* address);
  void failed(const char* why);
  void log(std::uint32_t level, const char* text);
  void connect_failed(const char* address, const char* why);
  void bad_parameter(const char* name, const char* why);

 private:
  /// Notes a breach and returns false if the callback `what` is not allowed now.
  bool is_allowed(const char* what);
  void broken(std::string_view rule, std::string words) { bench_.note_breach(rule, std::move(words)); }
  [[nodiscard]] std::string who() const { return "the " + name_of(role_) + " "; }

  bench& bench_;
  const cpns_role role_;
  cpns_host table_{};
  std::atomic<phase> phase_{phase::opening};
  std::atomic<std::uint64_t> callbacks_{0};
  std::atomic<bool> asked_for_clock_{false};
  mutable std::mutex guard_;
  std::condition_variable changed_;
  std::map<std::uint64_t, link> links_;
  std::uint64_t highest_ = 0;
  std::size_t up_ = 0;
  std::uint32_t mtu_ = 0, max_links_ = 0;
  std::set<std::uint64_t> endpoints_, in_frame_;
  std::set<std::string> found_, unreached_;
  std::string logged_, refused_;
};

/// Makes a recorder that is never freed.
recorder& keep_recorder(bench& b, cpns_role role, plugins::simulated_clock* simulated = nullptr);

}  // namespace cpns::conformance
