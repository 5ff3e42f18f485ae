#ifndef CPNS_ABI_VERSION_H
#define CPNS_ABI_VERSION_H
/* The version of this interface. A host loads a plugin of the same major version and any minor version: a minor
 * version only appends to sized structs and adds extension ids.
 *   1.0  the first one
 *   1.1  parameters are declared; connect_failed, cancel, duty_permille; cpns.timer/1 has timers; cpns.fd/1,
 *        cpns.statistics/1, cpns.power/1, cpns.pairing/1, cpns.wake/1, cpns.clock/1
 *   1.2  enums have 32 bits with -fshort-enums, too; the layout without that flag is the one of 1.1
 */

#include <stddef.h>
#include <stdint.h>

#define CPNS_ABI_MAJOR 1u
#define CPNS_ABI_MINOR 2u

/* Whether the struct that `table` points to was built with `member`: its `size`, the first member, covers it. */
#define CPNS_HAS(table, member)                                                                              \
  ((size_t)((const char*)(&(table)->member + 1) - (const char*)(table)) <= (size_t)(table)->size)

/* Holds a promise of the layout at compile time, in C and in C++. */
#ifdef __cplusplus
#define CPNS_HOLDS(condition, words) static_assert(condition, words)
#else
#define CPNS_HOLDS(condition, words) _Static_assert(condition, words)
#endif

/* A value of each enum that is never passed. It makes the enum 32 bits wide with every compiler flag
 * (-fshort-enums). An enum that a function returns has the least one, so that either side may read any 32-bit value
 * as it. */
#define CPNS_ENUM_IS_32_BITS 0x7fffffff
#define CPNS_ENUM_IS_ANY_32_BITS (-0x7fffffff - 1)

/* Tags in the comments on functions:
 *   [host-thread]    the host calls it, from one thread at a time
 *   [any-thread]     may be called from any thread, from several at once
 *   [plugin-thread]  the plugin calls it, from any of its threads
 *   [after X, before Y]  when it may be called */

#endif
