#pragma once
// Devices, radios and counts of a gateway as JSON for people. No key is ever among the fields.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "actors/pn_gw/key_store.hpp"
#include "actors/radio.hpp"
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

struct link_line {
  protocol::gw_link link;
  std::string address;
  std::string entity;  ///< empty until a device answers on it
};
/// {"radios":[{"name", "state", "reason", "plugin", "version", "counters": {name: number}, "links": [{"address", "entity",
/// "rssi_dbm", "security"}]}]}; unknown fields are left out. Calls the plugins, which may take time.
boost::json::object describe_radios(const std::vector<open_radio_entry>& radios,
                                    const std::vector<link_line>& links);
/// [{"name", "state", "reason"}]; without a reason if it is open.
boost::json::array describe_radio_states(const std::vector<open_radio_entry>& radios);

struct supervisor_counts {
  std::size_t devices = 0, links = 0, links_without_device = 0, links_unproven = 0;
  std::uint64_t messages_dropped = 0, lines_left_out = 0, devices_died = 0;
};
boost::json::object describe_counts(const supervisor_counts& c);

}  // namespace cpns::actors
