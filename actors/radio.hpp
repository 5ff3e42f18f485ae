#pragma once
// Between plugin threads and actors: events are queued, and one wake-up message fetches all that came
// meanwhile.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/schema.hpp"
#include "plugins/host/loader.hpp"

namespace cpns::actors {

struct radio_event {
  enum class kind_t : std::uint8_t { link_up, link_down, message, peer_found, connect_failed, woke, failed };
  kind_t kind = kind_t::message;
  std::uint64_t transport = 0;
  plugins::link_id link = 0;
  plugins::endpoint_id endpoint = 0;
  std::string
      text;  ///< address (link_up, peer_found, woke), reason (link_down, failed), or both (connect_failed)
  std::int32_t rssi = 0;
  bytes message;
};

/// The listener of one transport. What waits in it is bounded, also when peers send, and connect again,
/// faster than the role works: see the constants below. [thread-safe]
class radio_inbox final : public plugins::transport_listener {
 public:
  /// `wake` is called from plugin threads when the inbox stops being empty; it must not block.
  radio_inbox(std::uint64_t transport, std::function<void()> wake)
      : transport_(transport), wake_(std::move(wake)) {}

  /// All events since the last call.
  std::vector<radio_event> take();
  /// Messages dropped because the roles did not keep up: a radio may lose, memory may not grow.
  [[nodiscard]] std::uint64_t dropped() const;

  void link_up(plugins::link_id link, plugins::endpoint_id endpoint, std::string address) override;
  void link_down(plugins::link_id link, std::string reason) override;
  void message(plugins::link_id link, bytes message) override;
  void peer_found(std::string address, std::int32_t rssi_dbm) override;
  void connect_failed(std::string address, std::string why) override;
  void woke(std::string address) override;
  void failed(error why) override;

 private:
  // Of what may be lost. A link in good order has a few messages under way, and one that floods loses its
  // own.
  static constexpr std::size_t events_max = 65536, bytes_max = 8 * 1024 * 1024, messages_of_link_max = 64;
  static constexpr std::size_t nothings_max = 1024;
  void push(radio_event e);
  bool forget_unseen(plugins::link_id link);
  void compact();

  const std::uint64_t transport_;
  const std::function<void()> wake_;
  mutable std::mutex guard_;
  std::vector<radio_event> events_;
  std::unordered_map<plugins::link_id, std::vector<std::size_t>> of_links_;  ///< where their events stand
  std::size_t bytes_ = 0;                                                    ///< of the messages
  std::size_t nothings_ = 0;                                                 ///< events that are `nothing`
  std::uint64_t dropped_ = 0;
};

/// One open radio of a role: the transport and what it told. Owned by the role; lives longer than its actors.
struct open_radio_entry {
  std::string name;
  std::shared_ptr<radio_inbox> inbox;
  plugins::transport* transport = nullptr;
};

/// [thread-safe] Sends one message over a link; a link that is gone or full drops it, as a radio would.
using radio_send_fn = std::function<void(std::uint64_t transport, std::uint64_t link, byte_view message)>;
radio_send_fn sender_over(std::vector<open_radio_entry> radios, std::string component);

/// What is wrong with a transport of a configuration, as far as its plugin can tell without a radio: it is
/// asked in child processes what it can be told, and whether it takes these values. Each problem has its
/// place in the file.
config::diagnostics check_radio(const config::transport_config& t,
                                const std::vector<config::path>& plugin_dirs, plugins::transport_role as);

/// Checks the parameters, then opens the plugin in a process of its own, or probes it in a child process and
/// opens it here. What it opens with may not be there yet (an address, an adapter): then the transport has no
/// links until it is. The error names the place in the file, or the transport where it came from none. The
/// log has it under `component` when the radio is open, and why it is not.
result<std::unique_ptr<plugins::transport>>
open_radio(const config::transport_config& t, const std::vector<config::path>& plugin_dirs,
           plugins::transport_role as, plugins::transport_listener& listener, std::string component);

}  // namespace cpns::actors
