#ifndef CPNS_ABI_EXT_POWER_H
#define CPNS_ABI_EXT_POWER_H
/* Energy saving. Provided by the plugin. Since 1.1. */

#include <stdint.h>

#include "../transport.h"

#define CPNS_EXT_POWER "cpns.power/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_power {
  CPNS_POWER_FULL = 1,   /* finds and answers PNEs as fast as possible; the initial state */
  CPNS_POWER_SAVING = 2, /* may find and answer PNEs seconds later, if that saves energy */
  CPNS_POWER_IS_32_BITS = CPNS_ENUM_IS_32_BITS
} cpns_power;
CPNS_HOLDS(sizeof(cpns_power) == 4, "an enum has 32 bits");

typedef struct cpns_ext_power {
  uint32_t size; /* sizeof(cpns_ext_power) as the plugin was built */
  uint32_t reserved;
  /* [any-thread] Applies from now on; links stay up. CPNS_UNSUPPORTED for an unknown value. `context` is that of
   * the transport. */
  cpns_status (*set)(void* context, uint32_t power);
} cpns_ext_power;

#ifdef __cplusplus
}
#endif
#endif
