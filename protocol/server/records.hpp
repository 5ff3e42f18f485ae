#pragma once
// The stored records of the CPNS Server. Secret; leave memory only sealed. Rows: users by user_id, devices and
// entities by entity_id, gateways by gw_id.

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "protocol/messages.hpp"

namespace cpns::protocol {

/// A CPNS User. The password itself is not stored (RFC 5802: StoredKey). Requests have copies of it, which leave nothing
/// behind.
struct user_record {
  user_record() = default;
  user_record(const user_record&) = default;
  user_record(user_record&&) = default;
  user_record& operator=(const user_record&) = default;
  user_record& operator=(user_record&&) = default;
  ~user_record() { wipe(stored_key.data(), stored_key.size()); }

  user_id user;
  byte_array<16> salt{};
  std::uint32_t iterations = 0;
  byte_array<32> stored_key{};
  std::int64_t created = 0;  ///< Unix seconds
};

/// The manufacturer's data of a device (step 7).
struct device_secret_record {
  entity_id entity;
  secret32 temporary_key;  ///< TK'
  bool stretched = false;
  bool require_presence = true;
  bool always_require_presence =
      false;  ///< also against the settings: its key comes from a batch or a service; not stored
  bool from_service = false;     ///< of the manufacturer; not stored
  std::optional<user_id> owner;  ///< named by the import
  std::string batch;             ///< file or batch of the import, for people
  /// No gateway gets keys for it, also if a batch names it. Such a row has the name alone, and no key.
  bool blocked = false;
};

/// One generation of EUKeys of an entity (step 6).
struct eukey_set {
  std::uint32_t generation = 0;
  set_id set;
  std::uint64_t incarnation = 0;
  gateway_id issued_to;
  std::uint32_t next_index = 0;   ///< indexes below were issued
  std::int64_t not_after = 0;     ///< Unix seconds
  std::vector<secret32> eukeys;   ///< from index `first_index`
  std::uint32_t first_index = 0;  ///< keys below a reported one may be forgotten
};

/// An answered request, so that a repetition gets the same keys.
struct answered_request {
  request_id id;
  gateway_id gw;
  byte_array<32> content_hash{};  ///< H(request with proof null)
  std::uint32_t generation = 0;
  std::uint32_t first_index = 0;
  std::uint32_t count = 0;
};

struct used_transcript {
  byte_array<32> th1{};
  std::uint64_t slot = 0;  ///< of its issuer nonce; forgotten when no longer acceptable
};

/// Everything about one entity that an assignment reads or writes: one row, one durable write.
struct entity_record {
  entity_id entity;
  std::optional<user_id> owner;
  owner_tag tag;
  std::int64_t claimed = 0;  ///< Unix seconds of the first claim
  std::optional<gateway_id> holder;
  std::string holder_uri;         ///< of its certificate; empty in rows of older servers
  std::int64_t holder_since = 0;  ///< Unix seconds; 0 in rows of older servers
  std::int64_t holder_seen = 0;   ///< Unix seconds of the holder's last request or report
  std::uint64_t resets = 0;
  std::vector<eukey_set> sets;  ///< ascending; kept until a key of a newer one is reported
  std::optional<epoch> last_report;
  std::uint64_t last_report_slot = 0;
  std::vector<answered_request> answered;  ///< the newest 16
  std::vector<used_transcript> used;       ///< bounded; over the bound: throttled
};

/// A gateway that connected once, that an operator blocked, or that has a pre-shared key. Times are Unix seconds, 0 for never.
struct gateway_record {
  gateway_id gw;
  std::string uri;      ///< of its certificate, or its identity; empty: blocked by its gw and never connected
  std::string address;  ///< host:port of its last noted connection
  std::int64_t first_connected = 0;
  std::int64_t last_connected = 0;  ///< noted at most once per hour
  std::int64_t blocked_since = 0;   ///< 0: it is served
  std::optional<secret_bytes>
      psk{};                   ///< its pre-shared key (crypto/psk_key.hpp); nullopt: it needs a certificate
  std::int64_t psk_since = 0;  ///< when `psk` was set
};

/// Removes the holder: the next gateway of the owner that proves the device's presence becomes the holder.
void release_holder(entity_record& r);
/// The holder, since when, and when last seen, for people: at most 140 bytes. `now` in Unix seconds; `r` has a
/// holder.
std::string holder_text(const entity_record& r, std::int64_t now);

secret_bytes encode(const user_record& r);
secret_bytes encode(const device_secret_record& r);
secret_bytes encode(const entity_record& r);
secret_bytes encode(const gateway_record& r);
result<user_record> decode_user_record(byte_view in);
result<device_secret_record> decode_device_secret_record(byte_view in);
result<entity_record> decode_entity_record(byte_view in);
result<gateway_record> decode_gateway_record(byte_view in);

}  // namespace cpns::protocol
