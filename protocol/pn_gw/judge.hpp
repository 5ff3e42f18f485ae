#pragma once
// What one DRSP means (docs/protocol.md, "the recovery table"). Pure: the same record and the same bytes, the
// same conclusion. Thread-safe.

#include <optional>
#include <string_view>

#include "crypto/key_schedule.hpp"
#include "protocol/messages.hpp"
#include "protocol/pn_gw/device_record.hpp"

namespace cpns::protocol {

enum class conclusion : std::uint8_t {
  noise,      ///< breaks a rule of the exchange; proves nothing
  foreign,    ///< names another Entity ID
  own_key,    ///< verified: holds the own key
  newer_key,  ///< verified: holds a key of ours above own, so KCNF was lost or this GW was rolled back
  older_key,  ///< verified: holds a key of ours below own, which an honest PNE never names; late, or a copy
  bad_possession,       ///< names an epoch that this GW holds, and does not prove it
  first_contact,        ///< unkeyed, and no set was assigned yet
  first_delivery_lost,  ///< unkeyed, and no key of the set was confirmed yet
  amnesia,              ///< unkeyed, although a key was confirmed
  reset_claimed,        ///< says that it was reset since; only the server can tell
  set_not_held,         ///< holds a key that this GW never had
  below_own             ///< names an epoch below own that this GW does not hold (any more)
};
std::string_view name_of(conclusion c);

struct judgement {
  conclusion what = conclusion::noise;
  std::string_view why;  ///< for noise: the rule that it breaks
  crypto::digest th1{};
  std::optional<epoch>
      key;                  ///< with own_key, newer_key, older_key, bad_possession: of the key that was tried
  bool was_unused = false;  ///< with newer_key: this GW does not know that it sent it

  [[nodiscard]] bool is_verified() const {
    return what == conclusion::own_key || what == conclusion::newer_key;
  }
  /// Says something that the GW acts on when no better answer comes.
  [[nodiscard]] bool is_candidate() const { return what >= conclusion::first_contact; }
};

/// `own`: the own epoch when the DREQ was first sent. `dreq`: its bytes as sent; `request`: the same,
/// decoded.
judgement judge(const crypto::suite& s, const device_record& record, std::optional<epoch> own, byte_view dreq,
                const discovery_request& request, const discovery_response& answer);

}  // namespace cpns::protocol
