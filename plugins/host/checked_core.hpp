#pragma once
// What a plugin's callbacks reach. Lives until the process ends, because a plugin may call at any time, also
// too late.

#include <atomic>
#include <deque>
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

/// What the host counts of one instance since it was opened.
struct host_counters {
  std::uint64_t links = 0;  ///< that came up
  std::uint64_t messages_sent = 0, messages_received = 0;
  std::uint64_t dropped_messages = 0;  ///< unfinished or over a bound
  std::uint64_t bad_frames = 0;        ///< frames of peers that fit no message
  std::uint64_t misbehaviour = 0;      ///< rules of the interface broken by the plugin
  /// Links that went down, by the reason that the plugin gave.
  std::uint64_t links_lost = 0, links_bad_frame = 0, links_too_slow = 0, links_over_limit = 0;
};

class checked_core {
 public:
  /// `simulated`, which outlives it, stands for real time.
  explicit checked_core(std::string name, simulated_clock* simulated = nullptr);

  /// The table handed to the plugin.
  const cpns_host& host();
  void attach(transport_listener* listener) { listener_.store(listener); }
  /// Ends the thread of the plugin's timers and descriptors: after open failed or close returned.
  void end_loop() { loop_.end(); }
  event_loop& loop() { return loop_; }
  /// Whether the listener may still be called; after detach returned no call runs.
  void detach();
  /// The instance that sends go to; set once, before the listener hears anything that it could answer.
  void set_plugin(const cpns_transport* plugin, transport_role role, const transport_info& info);

  /// Holds back retire_plugin() while the plugin is being called; null once it was retired.
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

   private:
    checked_core& core_;
    const cpns_transport* plugin_ = nullptr;
  };
  /// No call into the plugin begins or runs after this returned, so it may be closed.
  void retire_plugin();

  status send(link_id link, byte_view message);
  void disconnect(link_id link);
  /// Endpoints that the role presents: state_exists, or state_exhausted above the plugin's limit.
  status reserve_endpoint(endpoint_id endpoint);
  void release_endpoint(endpoint_id endpoint);
  [[nodiscard]] bool is_up(link_id link) const { return find(link) != nullptr; }
  [[nodiscard]] host_counters counters() const;
  /// Lines that the plugin logged while it was opened, for the error.
  [[nodiscard]] std::string said() const;
  /// The parameter that the plugin refused while it was opened; empty if it named none.
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
    std::deque<bytes> queue;  ///< frames that wait
    bool pumping = false;
    bool again = false;  ///< the plugin became writable while a frame was being offered to it
  };
  using link_ptr = std::shared_ptr<link_state>;

  link_ptr find(link_id link) const;
  void pump(link_id link, const link_ptr& state);
  void misbehaved(std::string_view rule, link_id link);
  /// Takes a link from a plugin that broke a rule on it: the listener hears so, whatever the plugin does
  /// next.
  void drop(link_id link, std::string_view rule);
  void count_dropped(std::uint64_t messages);
  bool forget(link_id link);
  void count_down(std::uint32_t reason);

  /// Keeps detach() waiting while a callback is in the listener.
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
  std::string said_, refused_;
  event_loop loop_;
};

}  // namespace cpns::plugins
