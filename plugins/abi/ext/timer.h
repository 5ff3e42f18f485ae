#ifndef CPNS_ABI_EXT_TIMER_H
#define CPNS_ABI_EXT_TIMER_H
/* The host's clock, for plugins that own no event loop. Of the host. */

#include <stdint.h>

#define CPNS_EXT_TIMER "cpns.timer/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_timer {
  uint32_t size; /* sizeof(cpns_ext_timer) as the host was built */
  uint32_t reserved;
  /* [any-thread] Milliseconds of a clock that never goes back. `context` is that of the host. */
  uint64_t (*now_ms)(void* context);
} cpns_ext_timer;

#ifdef __cplusplus
}
#endif
#endif
