#pragma once
// Classifies one DRSP (docs/protocol.md, "the recovery table"). Pure: the same record and the same bytes give the
// same conclusion. Thread-safe.

#include <optional>
#include <string_view>

#include "base/named_enum.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/messages.hpp"
#include "protocol/pn_gw/device_record.hpp"

namespace cpns::protocol {

// clang-format off
#define CPNS_CONCLUSIONS(X)                                                                                  \
  X(noise,               "breaks a rule of the exchange; proves nothing")                                    \
  X(foreign,             "names another Entity ID")                                                          \
  X(own_key,             "verified: holds the own key")                                                      \
  X(newer_key,           "verified: holds a key of this gateway above own (lost KCNF, or a rolled back GW)") \
  X(older_key,           "verified: holds a key below own, which an honest PNE never names: late or a copy") \
  X(bad_possession,      "names an epoch that this gateway holds, without proof")                            \
  X(first_contact,       "unkeyed, and no set was assigned yet")                                             \
  X(first_delivery_lost, "unkeyed, and no key of the set was confirmed yet")                                 \
  X(amnesia,             "unkeyed, although a key was confirmed")                                            \
  X(reset_claimed,       "claims a reset since; only the server can verify it")                              \
  X(set_not_held,        "names an epoch that this gateway never had")                                       \
  X(below_own,           "names an epoch below own that this gateway does not hold (any more)")
// clang-format on
CPNS_NAMED_ENUM(conclusion, CPNS_CONCLUSIONS)

struct classification {
  conclusion what = conclusion::noise;
  std::string_view why;  ///< with noise: the broken rule
  crypto::digest th1{};
  /// With own_key, newer_key, older_key and bad_possession: the epoch of the tried key.
  std::optional<epoch> key;
  bool was_unused = false;  ///< with newer_key: this GW has no record of its delivery

  [[nodiscard]] bool is_verified() const {
    return what == conclusion::own_key || what == conclusion::newer_key;
  }
  /// The GW acts on it if no better answer comes.
  [[nodiscard]] bool is_candidate() const { return what >= conclusion::first_contact; }
};

/// `own`: the own epoch when the DREQ was first sent. `dreq`: its bytes as sent; `request`: decoded.
classification classify(const crypto::suite& s, const device_record& record, std::optional<epoch> own,
                        byte_view dreq, const discovery_request& request, const discovery_response& answer);

}  // namespace cpns::protocol
