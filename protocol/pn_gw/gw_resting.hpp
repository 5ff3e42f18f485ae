#pragma once
// What a machine of the PN GW at rest holds beyond the stored record of its device.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "protocol/pn_gw/gw_event.hpp"

namespace cpns::protocol {

/// The far end of a link: for people, and to recognise a claimant.
struct gw_place {
  std::string transport;  ///< its name
  std::string address;
};

/// A gateway has many PNEs that hold a key and wait for nothing but the next update. Their machines and records would
/// fill the memory, so such a machine rests: with this, the stored record and the place of its link it goes on as if it
/// had never rested. Not secret, not durable: a restart begins with the record alone.
struct gw_resting {
  std::optional<gw_link> link;  ///< its only link; over it a tag verified last
  time_point updated_at = time_zero, update_due = time_never;
  time_point claims_not_before = time_zero, notice_not_before = time_zero, same_id_not_before = time_zero;
  std::uint64_t resets = 0;         ///< of the last verified DRSP; the stored record may have an older one
  std::uint32_t rekey_seconds = 0;  ///< of the record
  std::uint8_t attempts = 0, bad_possessions = 0;
  bool asleep : 1 = false;
  bool let_in : 1 = false;
  bool woke : 1 = false;
  bool server_wanted : 1 = false;
  bool recover_wanted : 1 = false;
  bool claimed : 1 = false;
  bool request_is_refill : 1 = false;
  /// Of the link, until it is known that the link outlives the request to rest; without a link: where the device was last
  /// seen, if the stored record does not have it.
  std::shared_ptr<const gw_place> place;

  /// As pn_gw_machine::next_deadline().
  [[nodiscard]] time_point next_deadline() const { return link ? update_due : time_never; }
};

struct pn_gw_settings;

/// When the next key is due after a confirmation at `since`: one interval later, jitter makes it earlier, never later.
/// `rekey_seconds`: of the server. time_never: by request alone.
time_point update_due_after(time_point since, std::uint32_t rekey_seconds, const pn_gw_settings& settings,
                            entropy& random);

}  // namespace cpns::protocol
