#pragma once
// A radio as the roles see it: whole messages over links, whatever the plugin's MTU is. Made by loader.hpp.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::plugins {

enum class role : std::uint8_t { central = 1, peripheral = 2 };  ///< PN GW, PNE

using link_id = std::uint64_t;      ///< of this transport; never used twice
using endpoint_id = std::uint64_t;  ///< peripheral: which PNE of this process; central: 0

struct transport_info {
  std::string name, version;
  std::uint32_t mtu = 0;            ///< bytes of one frame
  std::uint32_t max_links = 0;
  std::uint32_t max_endpoints = 0;
  bool reliable = false, ordered = false, may_scan_while_connected = false;
};

/// What a transport reports. Called from threads of the plugin, one call at a time for one link; must not block and
/// must not call close(). The listener lives until close() of the transport has returned.
class transport_listener {
 public:
  virtual ~transport_listener() = default;
  virtual void link_up(link_id link, endpoint_id endpoint, std::string address) = 0;
  virtual void link_down(link_id link, std::string reason) = 0;
  virtual void message(link_id link, bytes message) = 0;
  /// Central: a peer was seen; the host may connect to it.
  virtual void peer_found(std::string address, std::int32_t rssi_dbm) = 0;
  /// The transport cannot go on.
  virtual void failed(error why) = 0;
};

/// [thread-safe] All members may be called from any thread; after close() they do nothing or fail.
class transport {
 public:
  virtual ~transport() = default;
  [[nodiscard]] virtual const transport_info& info() const = 0;
  /// Central: looks for PNEs, or stops looking.
  virtual status scan(bool on) = 0;
  /// Peripheral: presents one PNE, or stops presenting it (its links go down).
  virtual status add_endpoint(endpoint_id endpoint, std::string_view name) = 0;
  virtual void remove_endpoint(endpoint_id endpoint) = 0;
  /// Central: connects to a peer that was found. The link comes by link_up.
  virtual status connect(std::string_view address) = 0;
  /// Queues one message of 1 to 1024 bytes. plugin_link: the link is gone; state_overloaded: its queue is full.
  virtual status send(link_id link, byte_view message) = 0;
  virtual void disconnect(link_id link) = 0;
  /// Ends everything. After it returned the listener is never called again. May be called twice.
  virtual void close() = 0;
};

}  // namespace cpns::plugins
