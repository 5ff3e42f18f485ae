#pragma once
// One device's record in the PN GW's secure store (step 8). Secret; leaves memory only sealed.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::protocol {

enum class key_use : std::uint8_t {
  unused = 0,  ///< never in a KDEL
  /// In a KDEL that was not confirmed, to a peer that had proven its key; never delivered again.
  handed_out = 1,
  own = 2,  ///< confirmed: the key that the PNE holds
  /// Handed out to a peer that had proven no key of this gateway, in an exchange that is under way.
  unproven = 3,
  lapsed = 4  ///< was `unproven`, and the exchange is over without a confirmation; that may still come
};

/// Whether the key went into a KDEL that was not confirmed.
constexpr bool was_handed_out(key_use u) { return u != key_use::unused && u != key_use::own; }
/// Whether nothing but a confirmation proves that the peer with this key is the device.
constexpr bool lacks_proof(key_use u) { return u == key_use::unproven || u == key_use::lapsed; }

struct held_key {
  epoch which;
  set_id set;
  secret32 eukey;
  key_use use = key_use::unused;
};

/// C for one DRSP epoch, from the server.
struct held_chain {
  epoch made_for;
  std::uint32_t generation = 0;
  secret32 value;
};

/// Whether a device is served; survives a restart.
enum class device_standing : std::uint8_t {
  normal = 0,
  held_elsewhere = 1,
  quarantined = 2,
  rejected = 3,
  revoked = 4
};

struct device_record {
  entity_id entity;
  user_id user;
  bool approved = false;  ///< step 3 was passed: by the user, or by policy once the device had proven itself
  device_standing standing = device_standing::normal;
  std::string standing_reason;

  // The newest set; generation 0: none was assigned yet.
  std::uint32_t generation = 0;
  set_id set;
  std::optional<secret32> gateway_temporary_key;  ///< TKg of `generation`
  owner_tag owner;
  std::uint32_t rekey_seconds = 0;
  std::int64_t not_after = 0;     ///< Unix seconds
  std::uint64_t incarnation = 0;  ///< of the server, when the set was assigned
  std::vector<held_key> keys;     ///< ascending; confirmed ones below own are erased
  std::optional<held_chain> chain;

  std::uint64_t resets = 0;        ///< of the last verified DRSP
  std::optional<epoch> to_report;  ///< confirmed; the server has not answered the report yet
  std::int64_t keyed_since = 0;    ///< Unix ms of the last confirmation; the periodic update counts from it
  std::int64_t budget_day = 0;     ///< Unix day of `unchained_built`
  std::uint32_t unchained_built = 0;  ///< unchained deliveries built on that day
  std::optional<request_id> request;  ///< an unanswered assignment request
  /// The content of a refill follows from this record, so it is repeated with this id after a restart.
  bool request_is_refill = false;
  std::string last_transport;  ///< where the device was last seen, for people
  std::string last_address;
  /// Programs have to end the sessions that began with keys of lower epochs: the PNE had lost its keys, or went back to an
  /// old one, or this is its first key since the record was made or lost its keys. Never lowered.
  std::optional<epoch> sessions_from;

  [[nodiscard]] const held_key* own() const;
  /// Whether the PNE has lost the own key in a verified reset, and has no new one yet.
  [[nodiscard]] bool own_is_withdrawn() const;
  [[nodiscard]] const held_key* find(epoch e) const;
  [[nodiscard]] bool has_unproven() const;         ///< a key whose use is `unproven`
  [[nodiscard]] std::size_t unused_count() const;  ///< of the newest set
};

/// What a gateway has to know of a device that is not served at present: without its keys, and not secret.
struct device_summary {
  entity_id entity;
  device_standing standing = device_standing::normal;
  bool keyed = false;             ///< it has an own key
  std::uint32_t unused_keys = 0;  ///< of the newest set
  std::uint32_t rekey_seconds = 0;
  std::int64_t not_after = 0;    ///< Unix seconds
  std::int64_t keyed_since = 0;  ///< Unix ms
  std::uint64_t incarnation = 0;
  std::optional<epoch> to_report;
  bool refills = false;   ///< the unanswered request is a refill, which is repeated without the device
  bool unproven = false;  ///< an exchange that a crash cut off has left a key `unproven`
};

/// Deterministic CBOR with a schema number.
secret_bytes encode(const device_record& r);
result<device_record> decode_device_record(byte_view in);
/// As faithful to the format as decode_device_record(), with the same errors, at a fraction of its cost.
result<device_summary> decode_device_summary(byte_view in);

}  // namespace cpns::protocol
