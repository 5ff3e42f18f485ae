#ifndef CPNS_ABI_EXT_POWER_H
#define CPNS_ABI_EXT_POWER_H
/* How much a radio may spend. Of the plugin. Since 1.1. */

#include <stdint.h>

#include "../transport.h"

#define CPNS_EXT_POWER "cpns.power/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_power {
  CPNS_POWER_FULL = 1,  /* what serves PNEs best; so it begins */
  CPNS_POWER_SAVING = 2 /* PNEs may be found and answered seconds later, if that saves energy */
} cpns_power;

typedef struct cpns_ext_power {
  uint32_t size; /* sizeof(cpns_ext_power) as the plugin was built */
  uint32_t reserved;
  /* [any-thread] From now on; links stay. CPNS_UNSUPPORTED for a value that is not known. `context` is that
   * of the transport. */
  cpns_status (*set)(void* context, uint32_t power);
} cpns_ext_power;

#ifdef __cplusplus
}
#endif
#endif
