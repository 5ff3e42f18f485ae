#pragma once
// The messages as values. codec.hpp encodes and decodes them; the grammar is cpns.cddl.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/named_enum.hpp"
#include "base/secret.hpp"
#include "protocol/constants.hpp"

namespace cpns::protocol {

using nonce16 = byte_array<16>;
using share32 = byte_array<32>;

// ---- radio link, PNE and GW

/// DREQ, step 1, GW to PNE.
struct discovery_request {
  std::uint8_t version = protocol::version;
  gateway_id gw;
  nonce16 gw_nonce{};
  std::optional<nonce16> issuer_nonce;  ///< exactly when the answer will go to the server
  std::vector<std::uint8_t> suites;     ///< 1 to 4 on offer, ascending
};

/// DRSP, step 2, PNE to GW.
struct discovery_response {
  byte_array<4> gw_nonce_echo{};
  entity_id entity;
  nonce16 pne_nonce{};
  std::uint8_t suite = suite_x25519;
  std::optional<share32> pne_share;  ///< X25519 public key, exactly with suite 2
  std::optional<epoch> highest;      ///< the highest epoch stored; null when unkeyed
  std::uint64_t resets = 0;          ///< factory resets counted
  std::optional<tag16> possession;   ///< exactly with `highest`
  std::optional<tag16> presence;     ///< exactly with an issuer nonce in the DREQ
};

/// KDEL, step 9, GW to PNE.
struct key_delivery {
  epoch which;
  bool chained = false;
  share32 gw_share{};
  bytes sealed;  ///< ciphertext and tag of the COSE_Encrypt0
};

/// The plaintext of KDEL's COSE_Encrypt0.
struct delivery_content {
  secret32 eukey;
  owner_tag owner;
  std::uint32_t rekey_seconds = 0;
};

/// KCNF, step 10, PNE to GW.
struct key_confirmation {
  epoch which;
  tag16 confirm;
};

/// KRET, GW to PNE: the older key may be erased.
struct key_retire {
  epoch which;
  tag16 retire;
};

/// NOTE, PNE to GW: a hint.
struct pne_notice {
  enum class kind_t : std::uint8_t { going_to_sleep = 1, awake = 2 };
  kind_t kind = kind_t::awake;
};

/// FAIL, either way: an untrusted hint for people and logs.
struct failure {
  enum class reason_t : std::uint8_t {
    bad_message = 1,
    unsupported_version = 2,
    no_common_suite = 3,
    busy = 4,
    refused = 5,
    no_context = 6,
    window_closed = 7
  };
  reason_t reason = reason_t::bad_message;
};

using radio_message = std::variant<discovery_request, discovery_response, key_delivery, key_confirmation,
                                   key_retire, pne_notice, failure>;

// ---- server link, GW and CPNS Server

// clang-format off
#define CPNS_LINK_STATUSES(X)                                                                                \
  X(ok,                        0,  "")                                                                       \
  X(unknown_user_or_bad_proof, 1,  "the user is unknown, or the proof does not match the password")          \
  X(unknown_entity,            2,  "the server has no manufacturer's record of the entity")                  \
  X(presence_failed,           3,  "the device does not hold its Temporary Key")                             \
  X(stale_nonce,               4,  "the issuer nonce has expired")                                           \
  X(stale_epoch,               5,  "the device holds an older key than was reported")                        \
  X(owned_by_other,            6,  "the device belongs to another user")                                     \
  X(held_by_other,             7,  "another gateway renews the keys of the entity")                          \
  X(revoked,                   8,  "the entity was revoked")                                                 \
  X(gateway_blocked,           9,  "the server does not serve this gateway")                                 \
  X(throttled,                 10, "too many requests: retry later")                                         \
  X(overloaded,                11, "the server is overloaded: retry later")                                  \
  X(temporary_key_unavailable, 12, "the source of the Temporary Key does not answer: retry later")           \
  X(bad_request,               13, "the request breaks a rule of the protocol")                              \
  X(internal,                  14, "the server failed: retry later")

#define CPNS_ASSIGNMENT_REASONS(X)                                                                           \
  X(first,   0, "no key was confirmed yet")                                                                  \
  X(refill,  1, "more keys of the same set")                                                                 \
  X(adopt,   2, "the device was held by another gateway")                                                    \
  X(recover, 3, "the device lost its keys, or holds none of this set")
// clang-format on
CPNS_NUMBERED_ENUM(link_status, CPNS_LINK_STATUSES)
CPNS_NUMBERED_ENUM(assignment_reason, CPNS_ASSIGNMENT_REASONS)

/// UserChallenge: asks for the salt and iteration count of the user's password.
struct user_challenge {
  user_id user;
};
struct user_challenge_answer {
  byte_array<16> salt{};
  std::uint32_t iterations = 0;
};

/// IssuerNonce: asks for the current issuer nonce, which every answer carries.
struct issuer_nonce_request {};
struct issuer_nonce_answer {};

/// KeyAssignmentRequest, step 4.
struct key_assignment_request {
  user_id user;
  entity_id entity;
  byte_array<32> proof{};  ///< SCRAM ClientProof; null in its own hash input
  assignment_reason reason = assignment_reason::first;
  std::optional<epoch> known_epoch;  ///< the last epoch that the GW holds
  std::optional<set_id> set;
  std::optional<bytes> dreq;  ///< as sent; null with a refill
  std::optional<bytes> drsp;  ///< as received; null exactly when `dreq` is
};

/// KeyAssignmentResponse with status ok, step 8. Secret.
struct assigned_keys {
  bool literal = false;  ///< temporary_key is TK' itself, not TKg
  secret32 temporary_key;
  std::optional<secret32> chain;
  std::uint32_t generation = 0;
  set_id set;
  std::uint16_t first_index = 0;
  std::vector<secret32> eukeys;  ///< 1 to 256, indexes from first_index
  owner_tag owner;
  std::uint32_t rekey_seconds = 0;
  std::int64_t not_after = 0;  ///< Unix seconds; no deliveries from the set after it
};
/// The answer to any refused request.
struct refusal {
  link_status status = link_status::internal;
  std::uint32_t retry_after = 0;  ///< seconds; 0: a person has to act first
  std::string reason;             ///< for a person, at most 200 bytes
};

/// EpochReport, after KRET, batched.
struct epoch_report {
  std::vector<std::pair<entity_id, epoch>> entries;
};
enum class report_outcome : std::uint8_t { ok = 0, not_holder = 1, resync = 2 };
struct epoch_report_answer {
  std::vector<std::pair<entity_id, report_outcome>> entries;
};

struct link_request {
  request_id id;
  std::uint64_t incarnation = 0;  ///< of the server, as last received; 0: none yet
  std::variant<user_challenge, issuer_nonce_request, key_assignment_request, epoch_report> body;
};
struct link_answer {
  request_id id;
  std::uint64_t incarnation = 0;
  nonce16 issuer_nonce{};
  std::variant<user_challenge_answer, issuer_nonce_answer, assigned_keys, epoch_report_answer, refusal> body;
};

// ---- server link, from a server to a gateway that agreed on cpns/1.1 (node_codec.hpp)

enum class node_type : std::uint8_t {
  drain = 16,
  drain_acknowledged = 17,
  nodes = 18,
  nodes_acknowledged = 19
};

/// Drain: the gateway leaves this server for another one within this time.
struct drain_order {
  std::uint32_t within_ms = 0;  ///< at most drain_within_max
};
/// Nodes: the addresses at which this server, and servers with the same devices, can be reached.
struct node_list {
  std::vector<std::string> addresses;  ///< at most nodes_max, each one is_node_address, none twice
};
struct node_request {
  request_id id;
  std::uint64_t incarnation = 0;  ///< of the server
  std::variant<drain_order, node_list> body;
};
struct node_acknowledgement {
  request_id id;                  ///< of the request
  std::uint64_t incarnation = 0;  ///< of the server, as last received; 0: none yet
  node_type type = node_type::drain_acknowledged;
};

}  // namespace cpns::protocol
