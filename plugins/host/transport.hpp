#pragma once
// What a role sees of a radio: whole messages on links. Frames, fragments and the plugin's C tables stay
// below this.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::plugins {

/// One link to one peer. Given by the plugin, never used twice while an instance is open; 0 names no link.
using link_id = std::uint64_t;
/// One PNE that a peripheral instance presents. Given by the role, 1 and up; 0 on the links of a central.
using endpoint_id = std::uint64_t;

/// Which side of the radio link an instance plays.
enum class transport_role : std::uint8_t {
  central,     ///< the PN GW: scans, connects or listens
  peripheral,  ///< the PNEs: presents endpoints
};

/// How much a radio may spend (plugins/abi/ext/power.h).
enum class power_level : std::uint8_t {
  full,    ///< what serves PNEs best
  saving,  ///< PNEs may be found and answered seconds later
};

/// What secures a link below the messages, which need nothing of it (plugins/abi/ext/pairing.h).
enum class link_security : std::uint8_t { unknown, none, encrypted, authenticated };

inline constexpr std::int32_t rssi_least = -127, rssi_most = 20;  ///< dBm

/// A link as the radio sees it; what it cannot tell is left open.
struct link_quality {
  std::optional<std::int32_t> rssi_dbm;
  link_security security = link_security::unknown;
  friend bool operator==(const link_quality&, const link_quality&) = default;
};

/// Begins at 0 when the radio is opened, and only grows.
struct named_counter {
  std::string name;  ///< "frames_sent"
  std::uint64_t value = 0;
  friend bool operator==(const named_counter&, const named_counter&) = default;
};

/// What the plugin declares of itself, read once when it was opened.
struct transport_info {
  std::string name;         ///< "tcp"
  std::string version;      ///< the plugin's own
  std::string description;  ///< one line
  std::uint32_t mtu = 0;    ///< bytes of one frame, this side's fragment header included
  std::uint32_t max_links = 0;
  std::uint32_t max_endpoints = 0;  ///< 0 for a central
  bool reliable = false;            ///< frames are not lost while a link is up
  bool ordered = false;
  bool may_scan_while_connected = false;
  std::uint32_t duty_permille = 0;  ///< of the time that it may send, in thousandths; 0: no bound
};

/// Told what happens. Called from threads of the plugin, several at once if it has several (the calls about
/// one link come one after the other), and possibly from within a call to `transport`. Implementations return
/// at once (post to an actor) and do not throw. Lives at least until `transport::close` returned; after that
/// no call comes, also none for the links that were still up.
class transport_listener {
 public:
  transport_listener() = default;
  transport_listener(const transport_listener&) = delete;
  transport_listener& operator=(const transport_listener&) = delete;
  virtual ~transport_listener() = default;

  /// A link is ready for messages. `endpoint` is the one that was added (peripheral) or 0 (central);
  /// `peer_address` is the plugin's printable name of the other side, stable enough to remember a device by.
  virtual void link_up(link_id link, endpoint_id endpoint, std::string peer_address) = 0;
  /// The link is gone, once for each link that was up. `reason` is a sentence for people and logs.
  virtual void link_down(link_id link, std::string reason) = 0;
  /// One whole message of 1 to 1024 bytes from the peer, who may be hostile.
  virtual void message(link_id link, bytes data) = 0;
  /// Central: a peer that `connect` can be called for. `rssi` in dBm, 0 if not known.
  virtual void peer_found(std::string address, std::int32_t rssi) = 0;
  /// Central: a `connect` ended without a link. Plugins of interface 1.0 do not tell.
  virtual void connect_failed(std::string address, std::string why) = 0;
  /// Central: the peer woke up or was started anew, as its radio hears beside the link, so its end of a link
  /// to it may be gone.
  virtual void woke(std::string address) = 0;
  /// The instance can do no more; only `close` is of use. Its links were reported down before.
  virtual void failed(error why) = 0;
};

/// An open instance of a plugin. [any-thread] Every call returns without waiting for the peer; `close` waits
/// for the plugin's threads and is not called from a listener.
class transport {
 public:
  transport() = default;
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;
  /// Closes, if that was not done.
  virtual ~transport() = default;

  [[nodiscard]] virtual const transport_info& info() const = 0;

  /// Central: looks for peers, or stops. plugin_failed with the plugin's words.
  virtual status scan(bool on) = 0;
  /// Central: asks for a link to a peer that was found; `link_up` tells of success, `connect_failed` of the
  /// opposite.
  virtual status connect(std::string_view address) = 0;
  /// Central: gives up connecting to `address`. Nothing happens where the plugin cannot.
  virtual void cancel(std::string_view address) = 0;

  /// Peripheral: presents one PNE; links of it come up and go by themselves. `name` is printable, at most 64
  /// bytes, and told to nobody but the log. state_exists for an id in use; state_exhausted above
  /// info().max_endpoints.
  virtual status add_endpoint(endpoint_id endpoint, std::string_view name) = 0;
  /// Takes it away; its links go down.
  virtual status remove_endpoint(endpoint_id endpoint) = 0;

  /// Queues one message of 1 to 1024 bytes, which are copied. plugin_link if the
  /// link is not up; wire_oversized; state_overloaded if the link's bounded queue is full: try again later or
  /// drop it.
  virtual status send(link_id link, byte_view message) = 0;
  /// Drops a link; `link_down` follows. Nothing happens for a link that is not up.
  virtual void disconnect(link_id link) = 0;

  /// From now on, and full until then. Nothing happens where the plugin has no say.
  virtual status set_power(power_level p) = 0;
  /// Central: drops what a pairing below left of the peer at `address`, and its link with it.
  virtual void forget_pairing(std::string_view address) = 0;
  /// At this moment; nothing is known of a link that is not up.
  [[nodiscard]] virtual link_quality quality(link_id link) const = 0;
  /// What the host counts, then what the plugin does; names of the plugin begin with "radio_".
  [[nodiscard]] virtual std::vector<named_counter> counters() const = 0;

  /// Ends the instance. After it returned the listener is not called again; later calls fail with
  /// state_stopping.
  virtual void close() = 0;
};

}  // namespace cpns::plugins
