#pragma once
// Devices and counts of a gateway as JSON for people. No key is ever among the fields.

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/pn_gw/key_store.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

/// The state of a stored device without an actor, for people.
inline constexpr std::string_view not_in_reach = "not_in_reach";

/// A device: entity, state, epochs, counts, where it was last seen.
/// `same_id`: the addresses of two devices that answered with this Entity ID; empty: none did.
boost::json::object describe_device(const protocol::device_record& r, std::string_view state,
                                    bool awaiting_person, const std::string& same_id = {});
/// The same for a device without an actor.
boost::json::object describe_stored(const protocol::device_record& r);
/// Whether `state` of a description can have this value.
bool is_pne_state(std::string_view state);
/// describe_stored; null if the store has no such device, or its record cannot be read.
boost::json::value show_stored_device(const key_store& store, const std::string& entity);

/// What describes a device at rest in place of its stored record. `where`: its link's, or that of the last link if the
/// record does not have it.
boost::json::object note_of_rest(const std::string& entity, const protocol::gw_resting& rested,
                                 const std::optional<protocol::gw_place>& where, const std::string& same_id);
/// Whether a row is a note_of_rest, and no description yet.
bool is_note_of_rest(const boost::json::object& row);
/// describe_device of the device with this note_of_rest; null as of show_stored_device().
boost::json::value show_device_at_rest(const key_store& store, const boost::json::object& note);

struct supervisor_counts {
  std::size_t devices = 0, links = 0, links_without_device = 0, links_unproven = 0;
  std::uint64_t messages_dropped = 0, lines_left_out = 0, devices_died = 0;
  std::size_t devices_at_rest = 0;
};
boost::json::object describe_counts(const supervisor_counts& c);

}  // namespace cpns::actors
