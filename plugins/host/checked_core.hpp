#pragma once
// The host's side of one plugin instance: receives and checks its callbacks. Never freed: a misbehaving plugin may
// call back after close().

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "plugins/abi/transport.h"
#include "plugins/host/checked_transport.hpp"
#include "plugins/host/event_loop.hpp"
#include "plugins/host/fragment.hpp"

namespace cpns::plugins {

/// The host's counters of one instance since it was opened.
struct host_counters {
  std::uint64_t links = 0;  ///< that came up
  std::uint64_t messages_sent = 0, messages_received = 0;
  std::uint64_t dropped_messages = 0;  ///< incomplete or over a bound
  std::uint64_t bad_frames = 0;        ///< frames of peers that belong to no message
  std::uint64_t misbehaviour = 0;      ///< breaches of the interface's rules by the plugin
  /// Links that went down, by the plugin's reason.
  std::uint64_t links_lost = 0, links_bad_frame = 0, links_too_slow = 0, links_over_limit = 0;
};

/// Callbacks come from any thread of the plugin, at any time, with any arguments. This checks them against the
/// instance's state, forwards valid ones to the listener, and lets close wait for calls in both directions.
/// [thread-safe]
class checked_core {
 public:
  /// `simulated`, if given, replaces real time and must outlive this.
  explicit checked_core(std::string name, simulated_clock* simulated = nullptr);

  /// The table for the plugin.
  const cpns_host& host();
  void attach(transport_listener* listener) { listener_.store(listener); }
  /// Ends the thread of the plugin's timers and descriptors. Call it after open failed or close returned.
  void end_loop() { loop_.end(); }
  event_loop& loop() { return loop_; }
  /// Detaches the listener: when this returns, no call of it runs or will run.
  void detach();
  /// The open instance. Set once, before any callback but log is accepted.
  void set_plugin(const cpns_transport* plugin, transport_role role, const transport_info& info);

  /// Makes retire_plugin() wait while the plugin is called; null once it was retired.
  class plugin_guard {
   public:
    explicit plugin_guard(checked_core& c) : core_(c) {
      core_.calls_.fetch_add(1);
      plugin_ = core_.plugin_.load();
    }
    ~plugin_guard() { core_.calls_.fetch_sub(1); }
    plugin_guard(const plugin_guard&) = delete;
    plugin_guard& operator=(const plugin_guard&) = delete;
    explicit operator bool() const { return plugin_ != nullptr; }
    const cpns_transport* operator->() const { return plugin_; }
    const cpns_transport* get() const { return plugin_; }

   private:
    checked_core& core_;
    const cpns_transport* plugin_ = nullptr;
  };
  /// When this returns, no call into the plugin runs or will run, so it may be closed.
  void retire_plugin();

  status send(link_id link, byte_view message);
  void disconnect(link_id link);
  /// Registers an endpoint of the role: state_exists, or state_exhausted above the plugin's limit.
  status reserve_endpoint(endpoint_id endpoint);
  void release_endpoint(endpoint_id endpoint);
  [[nodiscard]] bool is_up(link_id link) const { return find(link) != nullptr; }
  [[nodiscard]] host_counters counters() const;
  /// The plugin's log lines of level warning and above, joined, for the error of a failed open.
  [[nodiscard]] std::string logged_warnings() const;
  /// The parameter that the plugin refused in open; empty: none.
  [[nodiscard]] std::string refused_parameter() const;

  // The callbacks of the table.
  void on_link_up(std::uint64_t link, std::uint64_t endpoint, const char* address);
  void on_link_down(std::uint64_t link, std::uint32_t reason, const char* detail);
  void on_frame(std::uint64_t link, const std::uint8_t* data, std::size_t size);
  void on_writable(std::uint64_t link);
  void on_peer_found(const char* address, std::int32_t rssi);
  void on_failed(const char* why);
  void on_log(std::uint32_t level, const char* text);
  void on_connect_failed(const char* address, const char* why);
  void on_woke(const char* address);
  void on_bad_parameter(const char* name, const char* why);

 private:
  struct link_state {
    explicit link_state(std::uint32_t mtu) : out(mtu) {}
    std::mutex guard;
    fragmenter out;
    reassembler in;
    std::list<bytes> queue;  ///< frames to send; a deque would hold half a KiB for each idle link
    bool pumping = false;    ///< a thread is in pump()
    bool again = false;      ///< the plugin called writable while pump() was in send
  };
  using link_ptr = std::shared_ptr<link_state>;

  link_ptr find(link_id link) const;
  void pump(link_id link, const link_ptr& state);
  void misbehaved(std::string_view rule, link_id link);
  /// Closes a link on which the plugin broke a rule: reports it down to the listener without waiting for the
  /// plugin.
  void drop(link_id link, std::string_view rule);
  void count_dropped(std::uint64_t messages);
  bool forget(link_id link);
  void count_down(std::uint32_t reason);

  /// Makes detach() wait while a callback is in the listener.
  class listener_guard;

  const std::string name_;
  cpns_host table_{};
  std::atomic<transport_listener*> listener_{nullptr};
  std::atomic<int> inside_{0};
  std::atomic<int> calls_{0};
  std::atomic<const cpns_transport*> plugin_{nullptr};
  std::uint32_t mtu_ = mtu_min, max_links_ = 0, max_endpoints_ = 0;  ///< set before plugin_
  transport_role role_ = transport_role::central;
  mutable std::mutex guard_;
  std::unordered_map<link_id, link_ptr> links_;
  link_id highest_link_ = 0;
  std::set<endpoint_id> endpoints_;
  host_counters counters_;
  std::atomic<std::uint64_t> sent_{0}, received_{0};
  std::string logged_, refused_;
  event_loop loop_;
};

}  // namespace cpns::plugins
