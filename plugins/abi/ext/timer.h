#ifndef CPNS_ABI_EXT_TIMER_H
#define CPNS_ABI_EXT_TIMER_H
/* Clock and timers, for plugins without an event loop. Provided by the host: each instance has its own thread
 * for these and for cpns.fd/1, so a callback may block in it without delaying another radio. */

#include <stdint.h>

#define CPNS_EXT_TIMER "cpns.timer/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_timer {
  uint32_t size; /* sizeof(cpns_ext_timer) as the host was built */
  uint32_t reserved;
  /* [any-thread] Milliseconds of a monotonic clock. `context` is that of the host, here and below. */
  uint64_t (*now_ms)(void* context);

  /* Since 1.1: call them only if `size` covers them. */

  /* [any-thread, until close has returned] Calls `due(user)` once, `after_ms` from now, in the instance's thread,
   * which counts as a [plugin-thread]. Returns the timer's id, or 0 if the instance is closed. */
  uint64_t (*start)(void* context, uint64_t after_ms, void (*due)(void* user), void* user);
  /* [any-thread] Cancels the timer. When this returns, `due` does not run and is not called again (called from
   * the instance's thread, it does not wait for a `due` that runs). Ids of ended timers are ignored. */
  void (*stop)(void* context, uint64_t timer);
} cpns_ext_timer;

#ifdef __cplusplus
}
#endif
#endif
