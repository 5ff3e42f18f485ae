#ifndef CPNS_ABI_VERSION_H
#define CPNS_ABI_VERSION_H
/* The version of this interface. A host loads a plugin of the same major version and any minor version: a minor
 * version only appends to sized structs and adds extension ids.
 *   1.0  the first one
 *   1.1  parameters are declared; connect_failed, cancel, duty_permille; cpns.timer/1 has timers; cpns.fd/1,
 *        cpns.statistics/1, cpns.power/1, cpns.pairing/1, cpns.wake/1, cpns.clock/1
 */

#include <stdint.h>

#define CPNS_ABI_MAJOR 1u
#define CPNS_ABI_MINOR 1u

/* Tags in the comments on functions:
 *   [host-thread]    the host calls it, from one thread at a time
 *   [any-thread]     may be called from any thread, from several at once
 *   [plugin-thread]  the plugin calls it, from any of its threads
 *   [after X, before Y]  when it may be called */

#endif
