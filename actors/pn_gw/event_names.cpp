#include "actors/pn_gw/event_names.hpp"

#include <boost/json.hpp>

namespace cpns::actors {

const event_line& told_of(protocol::gw_event::kind_t kind) {
  using k = protocol::gw_event::kind_t;
  using log::level;
  static constexpr event_line detecting{"detecting", level::info, "1", "EntityDiscoveryRequest sent"};
  static constexpr event_line detected{"detected", level::info, "2", "EntityDiscoveryResponse received"};
  static constexpr event_line validated{"validated", level::info, "3", "Entity ID validated"};
  static constexpr event_line awaiting_approval{"awaiting-approval", level::info, "3",
                                                "a person has to approve: cpns pnes approve ENTITY"};
  static constexpr event_line requested{"requested", level::info, "4", "KeyAssignmentRequest sent"};
  static constexpr event_line answered{"answered", level::info, "8", "KeyAssignmentResponse stored"};
  static constexpr event_line delivering{"delivering", level::info, "9", "KeyDelivery sent"};
  static constexpr event_line confirmed{"confirmed", level::info, "10", "KeyConfirmation verified"};
  static constexpr event_line retired{"retired", level::debug, "10", "KeyRetire sent"};
  static constexpr event_line refilled{"refilled", level::info, "8", "more EUKeys of the set stored"};
  static constexpr event_line amnesia{"amnesia", level::warn, "", "the PNE has lost its key"};
  static constexpr event_line confirmation_lost{"confirmation-lost", level::info, "",
                                                "the PNE had stored a key whose confirmation was lost"};
  static constexpr event_line rolled_back{
      "gateway-rolled-back", level::error, "",
      "the PNE holds a key that this gateway never sent: was its store restored from a backup?"};
  static constexpr event_line stale_epoch{
      "stale-epoch", level::error, "", "the device holds an older key than was reported: restored or cloned"};
  static constexpr event_line presence_failed{"presence-failed", level::warn, "",
                                              "not the device that it claims to be"};
  static constexpr event_line held_elsewhere{"held-elsewhere", level::info, "",
                                             "another gateway serves this PNE"};
  static constexpr event_line rejected{"rejected", level::info, "3", "the PNE is not accepted"};
  static constexpr event_line revoked{"revoked", level::warn, "", "the server revoked this PNE"};
  static constexpr event_line quarantined{"quarantined", level::error, "",
                                          "nothing is delivered until a person releases it"};
  static constexpr event_line server_refused{"server-refused", level::warn, "",
                                             "the server refused the request"};
  static constexpr event_line backing_off{"backing-off", level::info, "", "tried again later"};
  static constexpr event_line asleep{"asleep", level::info, "", "the PNE is out of reach or sleeps"};
  static constexpr event_line same_id{"same-id", level::info, "", "two devices answer with this Entity ID"};
  static constexpr event_line dropped{"dropped", level::debug, "", "a message that proves nothing"};
  switch (kind) {
  case k::detecting: return detecting;
  case k::detected: return detected;
  case k::validated: return validated;
  case k::awaiting_approval: return awaiting_approval;
  case k::requested: return requested;
  case k::answered: return answered;
  case k::delivering: return delivering;
  case k::confirmed: return confirmed;
  case k::retired: return retired;
  case k::refilled: return refilled;
  case k::amnesia: return amnesia;
  case k::confirmation_lost: return confirmation_lost;
  case k::gateway_rolled_back: return rolled_back;
  case k::stale_epoch: return stale_epoch;
  case k::presence_failed: return presence_failed;
  case k::held_elsewhere: return held_elsewhere;
  case k::rejected: return rejected;
  case k::revoked: return revoked;
  case k::quarantined: return quarantined;
  case k::server_refused: return server_refused;
  case k::backing_off: return backing_off;
  case k::asleep: return asleep;
  case k::same_id: return same_id;
  case k::dropped: return dropped;
  }
  return dropped;
}

std::string describe_stored(const protocol::device_record& r) {
  using standing = protocol::device_standing;
  switch (r.standing) {
  case standing::normal: break;
  case standing::held_elsewhere: return describe_device(r, "held_elsewhere", false);
  case standing::quarantined: return describe_device(r, "quarantined", false);
  case standing::rejected: return describe_device(r, "rejected", false);
  case standing::revoked: return describe_device(r, "revoked", false);
  }
  return describe_device(r, "not in reach", false);
}

std::string describe_device(const protocol::device_record& r, std::string_view state, bool awaiting_person,
                            const std::string& same_id) {
  boost::json::object o;
  o["entity"] = r.entity.text();
  o["state"] = state;
  o["awaiting_approval"] = awaiting_person;
  if (const auto* own = r.own()) o["epoch"] = own->which.text();
  o["generation"] = r.generation;
  o["unused_keys"] = r.unused_count();
  o["keyed_since_ms"] = r.keyed_since;
  o["rekey_seconds"] = r.rekey_seconds;
  o["resets"] = r.resets;
  o["reported"] = !r.to_report.has_value();
  o["transport"] = r.last_transport;
  o["address"] = r.last_address;
  if (!same_id.empty()) o["same_id"] = same_id;
  if (!r.standing_reason.empty()) o["reason"] = r.standing_reason;
  return boost::json::serialize(o);
}

}  // namespace cpns::actors
