#pragma once
// What the supervisor reads from the store as a whole, and its counts, for people.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/pn_gw/key_store.hpp"

namespace cpns::actors {

/// A JSON object for each stored device of which `is_live` says no.
std::vector<std::string> describe_stored_devices(const key_store& store,
                                                 const std::function<bool(const std::string&)>& is_live);
/// "" if the store does not know it.
std::string show_stored_device(const key_store& store, const std::string& entity);
/// Devices that owe the server a report, or asked it something. What cannot be read is logged.
std::vector<protocol::device_record> unfinished_devices(const key_store& store);

struct supervisor_counts {
  std::size_t devices = 0, links = 0, links_without_device = 0, links_unproven = 0;
  std::uint64_t messages_dropped = 0, lines_left_out = 0, devices_died = 0;
};
/// A JSON object.
std::string describe_counts(const supervisor_counts& c);

}  // namespace cpns::actors
