#pragma once
// What a device actor does with stored records beside its own writes. Private to actors/pn_gw/.

#include "actors/pn_gw/device.hpp"

namespace cpns::actors {

/// Reads the record of a device that goes on after a rest into `parts`. An error is logged; errc::state_unknown: the
/// record is missing.
status read_record(device_parts& parts);

/// Whether a record that cannot be read now may be read later; otherwise it is damaged or gone.
bool may_be_read_later(const error& why);

/// Whether a record with this standing belongs to a machine in this state.
bool stands_as(protocol::pn_gw_state state, protocol::device_standing standing);

}  // namespace cpns::actors
