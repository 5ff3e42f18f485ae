/* All promises of the plugin interface in one object that abidw can read. */
#include "plugins/abi/ext/clock.h"
#include "plugins/abi/ext/fd.h"
#include "plugins/abi/ext/pairing.h"
#include "plugins/abi/ext/power.h"
#include "plugins/abi/ext/rssi.h"
#include "plugins/abi/ext/statistics.h"
#include "plugins/abi/ext/timer.h"
#include "plugins/abi/ext/wake.h"
#include "plugins/abi/transport.h"

/* The debug information has no type for unnamed enums; these named ones record their values. */
enum cpns_traits_record {
  reliable = CPNS_TRAIT_RELIABLE,
  ordered = CPNS_TRAIT_ORDERED,
  may_scan_while_connected = CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED
};
enum cpns_parameter_flags_record {
  of_central = CPNS_PARAMETER_OF_CENTRAL,
  of_peripheral = CPNS_PARAMETER_OF_PERIPHERAL,
  of_both = CPNS_PARAMETER_OF_BOTH,
  is_address = CPNS_PARAMETER_IS_ADDRESS
};
enum cpns_fd_events_record { readable = CPNS_FD_READABLE, writable = CPNS_FD_WRITABLE };

CPNS_EXPORT cpns_status cpns_interface(const cpns_transport_entry_t* entry, cpns_role role,
                                       cpns_down_reason reason, cpns_log_level level,
                                       cpns_parameter_kind kind, enum cpns_traits_record traits,
                                       enum cpns_parameter_flags_record parameter_flags,
                                       enum cpns_fd_events_record events, const cpns_ext_fd* fd,
                                       const cpns_ext_rssi* rssi, const cpns_ext_timer* timer,
                                       const cpns_ext_statistics* statistics, const cpns_ext_power* power,
                                       cpns_power level_of_power, const cpns_ext_pairing* pairing,
                                       const cpns_ext_wake* wake, const cpns_ext_clock* clock);

cpns_status cpns_interface(const cpns_transport_entry_t* entry, cpns_role role, cpns_down_reason reason,
                           cpns_log_level level, cpns_parameter_kind kind, enum cpns_traits_record traits,
                           enum cpns_parameter_flags_record parameter_flags,
                           enum cpns_fd_events_record events, const cpns_ext_fd* fd,
                           const cpns_ext_rssi* rssi, const cpns_ext_timer* timer,
                           const cpns_ext_statistics* statistics, const cpns_ext_power* power,
                           cpns_power level_of_power, const cpns_ext_pairing* pairing,
                           const cpns_ext_wake* wake, const cpns_ext_clock* clock) {
  return entry != NULL && role && reason && level && kind && traits && parameter_flags && events &&
                 fd != NULL && rssi != NULL && timer != NULL && statistics != NULL && power != NULL &&
                 level_of_power && pairing != NULL && wake != NULL && clock != NULL
             ? CPNS_OK
             : CPNS_ERROR;
}
