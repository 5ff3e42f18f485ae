#pragma once
// What a device actor does with stored records beside its own writes. Private to actors/pn_gw/.

#include "actors/pn_gw/device.hpp"
#include "protocol/pn_gw/pn_gw_machine.hpp"

namespace cpns::actors {

/// Reads the record of a device that goes on after a rest into `parts`. An error is logged; errc::state_unknown: the
/// record is missing.
status read_record(device_parts& parts);

/// The dates at present.
protocol::gw_dates dates_now(const shared_parts& shared);

/// The machine of a device that begins with this record.
protocol::pn_gw_machine machine_of(const shared_parts& shared, const protocol::pn_gw_settings& settings,
                                   protocol::device_record record);
/// The machine of a device that goes on after a rest, with the record of read_record(), which it takes out of `parts`.
protocol::pn_gw_machine machine_after_rest(const shared_parts& shared,
                                           const protocol::pn_gw_settings& settings, device_parts& parts);

/// Keeps what programs may still use of the key that `o` retires. Call before the record is written.
void keep_retired(const shared_parts& shared, const protocol::gw_persist& o);

/// Whether a record that cannot be read now may be read later; otherwise it is damaged or gone.
bool may_be_read_later(const error& why);

/// Whether the machine may go on after a failed write if the store has this record: it holds an equal one. A machine whose
/// exchange ended with the failed write has left its key `unproven`, and only a new machine marks that.
bool may_go_on(const protocol::pn_gw_machine& machine, const protocol::device_record& stored);

/// Whether an actor in this state keeps nothing that is worth its memory after its link has closed: an unverified peer that
/// merely claims an Entity ID must not keep one.
bool is_of_no_use(protocol::pn_gw_state state, const protocol::device_record& record);

}  // namespace cpns::actors
