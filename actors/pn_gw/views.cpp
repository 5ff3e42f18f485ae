#include "actors/pn_gw/views.hpp"

#include <boost/json.hpp>

#include "base/text.hpp"

namespace cpns::actors {

boost::json::object describe_device(const protocol::device_record& r, std::string_view state,
                                    bool awaiting_person, const std::string& same_id) {
  boost::json::object o;
  o["entity"] = r.entity.text();
  o["state"] = state;
  o["awaiting_approval"] = awaiting_person;
  if (const auto* own = r.own()) o["epoch"] = own->which.text();
  o["generation"] = r.generation;
  o["unused_keys"] = r.unused_count();
  if (r.keyed_since > 0) o["keyed_since"] = rfc3339_text(time_point{milliseconds{r.keyed_since}});
  o["rekey_seconds"] = r.rekey_seconds;
  o["resets"] = r.resets;
  o["reported"] = !r.to_report.has_value();
  o["radio"] = r.last_transport;
  o["address"] = r.last_address;
  if (!same_id.empty()) o["same_id"] = same_id;
  if (!r.standing_reason.empty()) o["reason"] = r.standing_reason;
  return o;
}

boost::json::object describe_stored(const protocol::device_record& r) {
  using standing = protocol::device_standing;
  switch (r.standing) {
  case standing::normal: break;
  case standing::held_elsewhere: return describe_device(r, "held_elsewhere", false);
  case standing::quarantined: return describe_device(r, "quarantined", false);
  case standing::rejected: return describe_device(r, "rejected", false);
  case standing::revoked: return describe_device(r, "revoked", false);
  }
  return describe_device(r, not_in_reach, false);
}

bool is_pne_state(std::string_view state) {
  if (state == not_in_reach) return true;
  for (std::size_t i = 0; i < static_cast<std::size_t>(protocol::pn_gw_state::count_); ++i)
    if (state == name_of(static_cast<protocol::pn_gw_state>(i))) return true;
  return false;
}

boost::json::value show_stored_device(const key_store& store, const std::string& entity) {
  const auto id = entity_id::parse(entity);
  if (!id) return nullptr;
  const auto record = store.load(*id);
  if (!record || !*record) return nullptr;
  return describe_stored(**record);
}

boost::json::object note_of_rest(const std::string& entity, const protocol::gw_resting& rested,
                                 const std::optional<protocol::gw_place>& where, const std::string& same_id) {
  boost::json::object o{
      {"entity", entity},
      {"state", name_of(rested.asleep ? protocol::pn_gw_state::asleep : protocol::pn_gw_state::keyed)},
      {"resets", rested.resets},
      {"reported", true}};
  if (where) {
    o["radio"] = where->transport;
    o["address"] = where->address;
  }
  if (!same_id.empty()) o["same_id"] = same_id;
  return o;
}

bool is_note_of_rest(const boost::json::object& row) { return !row.contains("generation"); }

boost::json::value show_device_at_rest(const key_store& store, const boost::json::object& note) {
  auto out =
      show_stored_device(store, {note.at("entity").as_string().data(), note.at("entity").as_string().size()});
  if (out.is_object())
    for (const auto& [member, value] : note) out.get_object()[member] = value;
  return out;
}

boost::json::object describe_counts(const supervisor_counts& c) {
  boost::json::object o;
  o["devices"] = c.devices;
  o["devices_at_rest"] = c.devices_at_rest;
  o["links"] = c.links;
  o["links_without_device"] = c.links_without_device;
  o["links_unproven"] = c.links_unproven;
  o["messages_dropped"] = c.messages_dropped;
  o["lines_left_out"] = c.lines_left_out;
  o["devices_died"] = c.devices_died;
  return o;
}

}  // namespace cpns::actors
