#pragma once
// A device's record as people may see it: without any key.

#include <string>
#include <string_view>

#include "protocol/pn_gw/device_record.hpp"

namespace cpns::actors {

/// A JSON object without any key: entity, state, epochs, counts, where it was last seen.
std::string describe_stored(const protocol::device_record& r);  ///< of a device without an actor
/// `same_id`: two addresses that answered with its Entity ID and are two devices; empty: none did.
std::string describe_device(const protocol::device_record& r, std::string_view state, bool awaiting_person,
                            const std::string& same_id = {});

}  // namespace cpns::actors
