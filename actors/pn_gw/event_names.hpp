#pragma once
// Events of the device machine as log lines, and a device's record as people may see it.

#include <string>
#include <string_view>

#include "base/log.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

/// The stable event id, how loud it is, the step of the change request, and the sentence when the event
/// brings none.
struct event_line {
  std::string_view id;
  log::level level;
  std::string_view step;
  std::string_view text;
};
const event_line& told_of(protocol::gw_event::kind_t kind);

/// A JSON object without any key: entity, state, epochs, counts, where it was last seen.
std::string describe_stored(const protocol::device_record& r);  ///< of a device without an actor
/// `same_id`: two addresses that answered with its Entity ID and are two devices; empty: none did.
std::string describe_device(const protocol::device_record& r, std::string_view state, bool awaiting_person,
                            const std::string& same_id = {});

}  // namespace cpns::actors
