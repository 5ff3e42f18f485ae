#pragma once
// Plugin threads call back at any rate; actors receive the events in batches, with one wake-up message per
// batch.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/memory_budget.hpp"
#include "config/schema.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::actors {

struct radio_event {
  enum class kind_t : std::uint8_t { link_up, link_down, message, peer_found, connect_failed, woke, failed };
  kind_t kind = kind_t::message;
  std::uint64_t transport = 0;
  plugins::link_id link = 0;
  plugins::endpoint_id endpoint = 0;
  /// Address (link_up, peer_found, woke), reason (link_down, failed), or both (connect_failed).
  std::string text;
  std::int32_t rssi = 0;
  bytes message;
};

/// Of the events that may be dropped. A normal link has a few messages in flight; a flooding one loses its own.
struct inbox_bounds {
  std::size_t events = 65'536;
  std::size_t bytes = 8 * 1024 * 1024;  ///< of the messages
};
inline inbox_bounds bounds_of(const config::radio_memory& m) { return {m.events, m.event_bytes}; }

/// The listener of one transport. Its queue is bounded even if peers send and reconnect faster than the role
/// works. [thread-safe]
class radio_inbox final : public plugins::transport_listener {
 public:
  /// `wake` is called from plugin threads when the inbox stops being empty; it must not block.
  radio_inbox(std::uint64_t transport, std::function<void()> wake, inbox_bounds most = {})
      : transport_(transport), wake_(std::move(wake)), most_(most) {}

  /// All events since the last call.
  std::vector<radio_event> take();
  /// Messages dropped because the role did not keep up.
  [[nodiscard]] std::uint64_t dropped() const;
  /// The role dropped one after take().
  void count_dropped();

  void link_up(plugins::link_id link, plugins::endpoint_id endpoint, std::string address) override;
  void link_down(plugins::link_id link, std::string reason) override;
  void message(plugins::link_id link, bytes message) override;
  void peer_found(std::string address, std::int32_t rssi_dbm) override;
  void connect_failed(std::string address, std::string why) override;
  void woke(std::string address) override;
  void failed(error why) override;

 private:
  static constexpr std::size_t messages_of_link_max = 64;
  static constexpr std::size_t nothings_max = 1024;
  void push(radio_event e);
  bool forget_unseen(plugins::link_id link);
  void compact();

  const std::uint64_t transport_;
  const std::function<void()> wake_;
  const inbox_bounds most_;
  mutable std::mutex guard_;
  std::vector<radio_event> events_;
  std::unordered_map<plugins::link_id, std::vector<std::size_t>> of_links_;  ///< indices of their events
  std::size_t bytes_ = 0;                                                    ///< of the messages
  std::size_t nothings_ = 0;  ///< discarded events still in events_
  std::uint64_t dropped_ = 0;
};

/// One open radio of a role: the transport and its events. Owned by the role; outlives its actors.
struct open_radio_entry {
  std::string name;
  std::shared_ptr<radio_inbox> inbox;
  plugins::transport* transport = nullptr;
};

/// [thread-safe] Sends one message over a link; dropped if the link is down or full.
using radio_send_fn = std::function<void(std::uint64_t transport, std::uint64_t link, byte_view message)>;
radio_send_fn sender_over(std::vector<open_radio_entry> radios, std::string component);
/// [thread-safe] The signal strength of a link in dBm, if the radio knows it.
using radio_rssi_fn = std::function<std::optional<std::int32_t>(std::uint64_t transport, std::uint64_t link)>;
radio_rssi_fn rssi_over(std::vector<open_radio_entry> radios);

/// Checks a configured transport without opening its radio: child processes query the plugin for its parameters
/// and probe it with these values. Each diagnostic has its place in the file.
config::diagnostics check_radio(const config::transport_config& t,
                                const std::vector<config::path>& plugin_dirs, plugins::transport_role as);

/// What the plugin of a configured transport says of itself; a child process reads it. Errors of
/// plugins::describe_transport.
result<plugins::plugin_description> describe_radio(const config::transport_config& t,
                                                   const std::vector<config::path>& plugin_dirs,
                                                   plugins::transport_role as);

/// Opens the radio and closes it again in a child process, as a role opens it at its start. plugin_failed if a
/// resource of this machine is missing (an adapter, an address); the role would wait for it.
status try_radio(const config::transport_config& t, const std::vector<config::path>& plugin_dirs,
                 plugins::transport_role as);

/// If a resource is missing, or in use (an address, an adapter): at the start of a role the radio waits for it, because
/// it may appear later; an operator who opens a radio with other parameters must learn that they do not work.
enum class if_missing : std::uint8_t { wait, refuse };

/// Checks the parameters, then opens the plugin in its own process, or probes it in a child process and opens
/// it here. With if_missing::wait, a transport without its resource has no links until that appears; otherwise
/// plugin_failed. The error names the place in the file, or the transport if it has none. Logs success and failures under
/// `component`.
result<std::unique_ptr<plugins::transport>>
open_radio(const config::transport_config& t, const std::vector<config::path>& plugin_dirs,
           plugins::transport_role as, plugins::transport_listener& listener, const std::string& component,
           if_missing missing = if_missing::wait);

}  // namespace cpns::actors
