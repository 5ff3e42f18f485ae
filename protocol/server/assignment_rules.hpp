#pragma once
// The CPNS Server's decision about one request, as functions of the stored record and the request. Used by the
// assignment machine alone. Pure.

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "protocol/server/assignment_machine.hpp"

namespace cpns::protocol::detail {

// Bounds of one entity's row. Over them requests are throttled until a report makes room.
inline constexpr std::size_t sets_kept_max = 16;
inline constexpr std::size_t keys_kept_max = 1024;  ///< of one set
inline constexpr std::size_t answered_kept_max = 16;
inline constexpr std::size_t transcripts_kept_max = 64;

inline constexpr std::uint32_t restore_skip = 16;   ///< generations skipped after a restore
inline constexpr std::uint32_t index_end = 65'535;  ///< this index opens a new generation
inline constexpr seconds ownership_window = std::chrono::hours{24 * 14};

// retry_after of refusals. 0: a person has to act first.
inline constexpr std::uint32_t retry_presence = 60;
inline constexpr std::uint32_t retry_stale_nonce = 1;
inline constexpr std::uint32_t retry_throttled = 60;
inline constexpr std::uint32_t retry_temporary_key = 30;
inline constexpr std::uint32_t retry_overloaded = 5;

/// An exchange of the radio link, from a request.
struct evidence {
  discovery_request dreq;
  discovery_response drsp;
  crypto::digest th1{};
};

/// nullopt: the request has none. wire_* or peer_bad_state: its exchange is malformed or inconsistent.
result<std::optional<evidence>> read_evidence(const crypto::suite& s, const key_assignment_request& r);

constexpr std::uint64_t slot_of(time_point now) {
  return static_cast<std::uint64_t>(unix_seconds(now) / issuer_slot.count());
}
/// The slot in which `nonce` was issued for `gw`, if it is one of -2 to +1 from now.
std::optional<std::uint64_t> find_slot(const crypto::suite& s, const secret32& k_iss, const gateway_id& gw,
                                       time_point now, const nonce16& nonce);

/// All inputs of a decision.
struct assignment_case {
  const assignment_settings& settings;
  const crypto::suite& s;
  entropy& random;
  time_point now;
  const gateway_id& gw;
  const std::string& gw_uri;
  const request_id& id;
  const key_assignment_request& request;
  const crypto::digest& content_hash;
  const std::optional<evidence>& shown;
  const device_secret_record& device;
  const entity_record& stored;
};

struct granted {
  entity_record next;  ///< to be made durable first, unless `repeated`
  assigned_keys keys;
  bool repeated = false;
  std::vector<assignment_event> events;
};
/// A grant passes several states with its keys, so only its address moves. Never null.
using decision = std::variant<refused, std::shared_ptr<granted>>;

/// Call after the user was verified and the device was found.
decision decide(const assignment_case& c);

/// What a device's answer proves.
struct proven {
  std::uint64_t slot = 0;          ///< of the issuer nonce
  bool presence = false;           ///< the tag was verified
  const secret32* held = nullptr;  ///< the key with proven possession; points into the stored record
  [[nodiscard]] bool device() const { return presence || held != nullptr; }
};
/// Chooses the set and its keys for the answer. `next` already has owner and holder.
std::optional<refused> grant_keys(const assignment_case& c, const proven& p, bool new_owner, granted& out);

/// Fills in the common fields of every grant: the Temporary Key's form, the owner's tag, the time of renewal.
decision finish(const assignment_case& c, decision d);

struct report_decision {
  report_outcome outcome = report_outcome::resync;
  std::optional<entity_record> next;  ///< the changed record, to be made durable
  assignment_event event;
};
report_decision decide_report(const entity_record& stored, const assignment_settings& settings,
                              time_point now, const gateway_id& gw, epoch reported);

/// The set of that generation, or nullptr.
const eukey_set* find_set(const entity_record& r, std::uint32_t generation);
/// The key of that epoch, or nullptr.
const secret32* find_key(const entity_record& r, epoch e);

refused refuse(link_status status, std::uint32_t retry_after, std::string reason, std::string_view event,
               std::string why);

}  // namespace cpns::protocol::detail
