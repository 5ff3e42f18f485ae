#pragma once
// The roles' interface to a radio: whole messages on links. It hides frames, fragments and the plugin's C tables.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::plugins {

/// One link to one peer. Assigned by the plugin, never reused while an instance is open; 0: none.
using link_id = std::uint64_t;
/// One PNE that a peripheral instance presents. Assigned by the role, 1 and up; 0 on the links of a central.
using endpoint_id = std::uint64_t;

/// Which side of the radio link an instance is.
enum class transport_role : std::uint8_t {
  central,     ///< the PN GW: scans, connects or listens
  peripheral,  ///< the PNEs: presents endpoints
};

/// Energy saving (plugins/abi/ext/power.h).
enum class power_level : std::uint8_t {
  full,    ///< finds and answers PNEs as fast as possible
  saving,  ///< may find and answer PNEs seconds later
};

/// The radio's own link security (plugins/abi/ext/pairing.h); the protocol above does not depend on it.
enum class link_security : std::uint8_t { unknown, none, encrypted, authenticated };

inline constexpr std::int32_t rssi_least = -127, rssi_most = 20;  ///< dBm

/// Quality of a link as the radio reports it; unknown values stay empty.
struct link_quality {
  std::optional<std::int32_t> rssi_dbm;
  link_security security = link_security::unknown;
  friend bool operator==(const link_quality&, const link_quality&) = default;
};

/// A counter that begins at 0 when the radio is opened and only grows.
struct named_counter {
  std::string name;  ///< "frames_sent"
  std::uint64_t value = 0;
  friend bool operator==(const named_counter&, const named_counter&) = default;
};

/// Whether a transport can have links now.
struct transport_state {
  enum class kind_t : std::uint8_t {
    open,
    waiting,  ///< it opens by itself when it can: its resource is missing, or its process starts again
    closed,   ///< it stays closed until somebody opens it again
  };
  kind_t kind = kind_t::open;
  std::string why{};  ///< a sentence; empty if it is open
};

/// The plugin's declarations, read once when it was opened.
struct transport_info {
  std::string name;         ///< "tcp"
  std::string version;      ///< the plugin's own
  std::string description;  ///< one line
  std::uint32_t mtu = 0;    ///< the largest frame in bytes, including the fragment header
  std::uint32_t max_links = 0;
  std::uint32_t max_endpoints = 0;  ///< 0 for a central
  bool reliable = false;            ///< frames are not lost while a link is up
  bool ordered = false;
  bool may_scan_while_connected = false;
  /// Duty cycle: share of time in which it may send, in thousandths; 0: no limit.
  std::uint32_t duty_permille = 0;
};

/// Receives the events of a transport. Called from threads of the plugin, possibly several at once (but one call
/// at a time per link), and possibly from within a call to `transport`. Implementations return at once (post to an
/// actor) and do not throw. It must outlive `transport::close`; after that no call is made, not even for links
/// that were still up.
class transport_listener {
 public:
  transport_listener() = default;
  transport_listener(const transport_listener&) = delete;
  transport_listener& operator=(const transport_listener&) = delete;
  virtual ~transport_listener() = default;

  /// A link is ready for messages. `endpoint` is the added one (peripheral) or 0 (central); `peer_address` is the
  /// plugin's printable name of the peer, stable enough to recognize a device by.
  virtual void link_up(link_id link, endpoint_id endpoint, std::string peer_address) = 0;
  /// The link is down; once for each link that was up. `reason` is a sentence for logs.
  virtual void link_down(link_id link, std::string reason) = 0;
  /// One whole message of 1 to 1024 bytes from the peer, which may be hostile.
  virtual void message(link_id link, bytes data) = 0;
  /// Central: found a peer that `connect` can be called for. `rssi` in dBm, 0: unknown.
  virtual void peer_found(std::string address, std::int32_t rssi) = 0;
  /// Central: a `connect` ended without a link. Plugins of interface 1.0 do not report this.
  virtual void connect_failed(std::string address, std::string why) = 0;
  /// Central: the peer woke up or restarted, which the radio noticed without using a link; the peer's end of an
  /// existing link may be gone.
  virtual void woke(std::string address) = 0;
  /// The instance failed; only `close` may be called. Its links were reported down before.
  virtual void failed(error why) = 0;
};

/// An open instance of a plugin. [any-thread] No call waits for the peer; `close` waits for the plugin's threads
/// and must not be called from a listener.
class transport {
 public:
  transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  /// Closes it if it is still open.
  virtual ~transport() = default;

  /// As of its last opening, also while it is not open.
  [[nodiscard]] virtual const transport_info& info() const = 0;
  [[nodiscard]] virtual transport_state state() const { return {}; }

  /// Central: starts or stops scanning for peers. plugin_failed.
  virtual status scan(bool on) = 0;
  /// Central: requests a link to a found peer; `link_up` or `connect_failed` reports the outcome.
  virtual status connect(std::string_view address) = 0;
  /// Central: cancels connecting to `address`. No effect if the plugin does not support it.
  virtual void cancel(std::string_view address) = 0;

  /// Peripheral: presents one PNE; its links come up and go down on their own. `name` is printable, at most 64
  /// bytes, and only for logs. state_exists for an id in use; state_exhausted above info().max_endpoints.
  virtual status add_endpoint(endpoint_id endpoint, std::string_view name) = 0;
  /// Stops presenting it; its links go down.
  virtual status remove_endpoint(endpoint_id endpoint) = 0;

  /// Queues one message of 1 to 1024 bytes, which is copied. plugin_link if the link is not up; wire_oversized;
  /// state_overloaded if the link's bounded queue is full: try again later or drop the message.
  virtual status send(link_id link, byte_view message) = 0;
  /// Closes a link; `link_down` follows. No effect on a link that is not up.
  virtual void disconnect(link_id link) = 0;

  /// The initial level is full. No effect if the plugin does not support it.
  virtual status set_power(power_level p) = 0;
  /// Central: deletes the radio's pairing with the peer at `address` and closes its link.
  virtual void forget_pairing(std::string_view address) = 0;
  /// The current quality; all unknown for a link that is not up.
  [[nodiscard]] virtual link_quality quality(link_id link) const = 0;
  /// The host's counters, then the plugin's, whose names are prefixed with "radio_".
  [[nodiscard]] virtual std::vector<named_counter> counters() const = 0;

  /// Closes the instance. When it returns, the listener is not called again; later calls fail with state_stopping.
  virtual void close() = 0;
};

}  // namespace cpns::plugins
