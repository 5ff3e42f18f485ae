#ifndef CPNS_ABI_EXT_STATISTICS_H
#define CPNS_ABI_EXT_STATISTICS_H
/* Counters of a radio, for operators. Provided by the plugin. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_STATISTICS "cpns.statistics/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_statistics {
  uint32_t size; /* sizeof(cpns_ext_statistics) as the plugin was built */
  uint32_t reserved;
  /* [any-thread] Calls `each(user, name, value)` for each counter of the instance before it returns: always the
   * same names in the same order, at most 64. A name has 1 to 48 of the characters a-z, 0-9 and '_', ends with
   * the unit unless it is a count ("air_time_ms"), and is copied. Counters begin at 0 in open and only grow.
   * `context` is that of the transport. */
  void (*read)(void* context, void (*each)(void* user, const char* name, uint64_t value), void* user);
} cpns_ext_statistics;

#ifdef __cplusplus
}
#endif
#endif
