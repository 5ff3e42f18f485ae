#pragma once
// The events of the PN GW's machine of one device, for logs and for people: one list for their names, their
// stable log ids and their sentences.

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/log.hpp"

namespace cpns::protocol {

// clang-format off
// name, log id, level, step of the change request, sentence when the event brings none
#define CPNS_GW_EVENTS(X)                                                                                    \
  X(detecting,           "detecting",           info,  "1",  "EntityDiscoveryRequest sent")                  \
  X(detected,            "detected",            info,  "2",  "EntityDiscoveryResponse received")             \
  X(validated,           "validated",           info,  "3",  "Entity ID validated")                          \
  X(awaiting_approval,   "awaiting-approval",   info,  "3",  "a person has to approve: cpns pnes approve ENTITY") \
  X(requested,           "requested",           info,  "4",  "KeyAssignmentRequest sent")                    \
  X(answered,            "answered",            info,  "8",  "KeyAssignmentResponse stored")                 \
  X(consumer_late,       "consumer-late",       info,  "9",                                                  \
    "a program did not say in time that it has the next key; the PNE gets it now")                           \
  X(delivering,          "delivering",          info,  "9",  "KeyDelivery sent")                             \
  X(confirmed,           "confirmed",           info,  "10", "KeyConfirmation verified")                     \
  X(retired,             "retired",             debug, "10", "KeyRetire sent")                               \
  X(refilled,            "refilled",            info,  "8",  "more EUKeys of the set stored")                \
  X(amnesia,             "amnesia",             warn,  "",   "the PNE has lost its key")                     \
  X(confirmation_lost,   "confirmation-lost",   info,  "",   "the PNE had stored a key whose confirmation was lost") \
  X(gateway_rolled_back, "gateway-rolled-back", error, "",                                                   \
    "the PNE holds a key that this gateway never sent: was its store restored from a backup?")               \
  X(stale_epoch,         "stale-epoch",         error, "",                                                   \
    "the device holds an older key than was reported: restored or cloned")                                   \
  X(presence_failed,     "presence-failed",     warn,  "",   "the device is not the one that it claims to be") \
  X(held_elsewhere,      "held-elsewhere",      info,  "",   "another gateway serves this PNE")              \
  X(rejected,            "rejected",            info,  "3",  "the PNE is not accepted")                      \
  X(revoked,             "revoked",             warn,  "",   "the server revoked this PNE")                  \
  X(quarantined,         "quarantined",         error, "",                                                   \
    "nothing is delivered until a person releases the PNE: cpns pnes approve ENTITY")                        \
  X(server_refused,      "server-refused",      warn,  "",   "the server refused the request")               \
  X(backing_off,         "backing-off",         info,  "",   "the exchange failed")                          \
  X(asleep,              "asleep",              info,  "",   "the PNE is out of reach or sleeps")            \
  X(same_id,             "same-id",             info,  "",   "two devices answer with this Entity ID")       \
  X(dropped,             "dropped",             debug, "",   "a message that proves nothing was dropped")
// clang-format on

/// Where frames of the device come from and go to. Not secret, not durable.
struct gw_link {
  std::uint64_t transport = 0;
  std::uint64_t link = 0;
  friend auto operator<=>(const gw_link&, const gw_link&) = default;
};

struct gw_event {
  enum class kind_t : std::uint8_t {
#define CPNS_X(name, id, loudness, step, text) name,
    CPNS_GW_EVENTS(CPNS_X)
#undef CPNS_X
  };
  kind_t kind;
  std::optional<epoch> which;
  std::string why;                       ///< instead of the sentence of the list
  std::optional<gw_link> on{}, other{};  ///< same_id: the two links that answer with one Entity ID
  bool unproven = false;  ///< about an unverified peer: anybody in range can cause it, at any rate
};

constexpr log::event_line describe_event(gw_event::kind_t kind) {
  constexpr log::event_line lines[] = {
#define CPNS_X(name, id, loudness, step, text) {id, log::level::loudness, step, text},
      CPNS_GW_EVENTS(CPNS_X)
#undef CPNS_X
  };
  return lines[static_cast<std::size_t>(kind)];
}

}  // namespace cpns::protocol
