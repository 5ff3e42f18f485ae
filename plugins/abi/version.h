#ifndef CPNS_ABI_VERSION_H
#define CPNS_ABI_VERSION_H
/* The version of this interface. A host loads a plugin of the same major version and any minor one: what a
 * minor version adds stands at the end of a sized struct, or behind an extension id.
 *   1.0  the first one
 *   1.1  parameters are declared; connect_failed, cancel, duty_permille; cpns.timer/1 has timers; cpns.fd/1,
 *        cpns.statistics/1, cpns.power/1, cpns.pairing/1, cpns.wake/1, cpns.clock/1
 */

#include <stdint.h>

#define CPNS_ABI_MAJOR 1u
#define CPNS_ABI_MINOR 1u

/* Words used in the tags of functions:
 *   [host-thread]    one thread of the host at a time calls it
 *   [any-thread]     may be called from any thread, several at once
 *   [plugin-thread]  called by the plugin from any of its threads
 *   [after X, before Y]  the states in which it may be called */

#endif
