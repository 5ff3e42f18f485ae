#include "actors/pn_gw/device_view.hpp"

#include <boost/json.hpp>

namespace cpns::actors {

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
