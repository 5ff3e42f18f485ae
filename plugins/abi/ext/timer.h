#ifndef CPNS_ABI_EXT_TIMER_H
#define CPNS_ABI_EXT_TIMER_H
/* The host's clock and timers, for plugins that own no event loop. Of the host; each instance has a thread of
 * its own for these and for cpns.fd/1, so what is called there may take its time and disturbs no other radio.
 */

#include <stdint.h>

#define CPNS_EXT_TIMER "cpns.timer/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_timer {
  uint32_t size; /* sizeof(cpns_ext_timer) as the host was built */
  uint32_t reserved;
  /* [any-thread] Milliseconds of a clock that never goes back. `context` is that of the host, here and below.
   */
  uint64_t (*now_ms)(void* context);

  /* Since 1.1, so only if size says that they are there. */

  /* [any-thread, until close has returned] Calls `due(user)` once, `after_ms` from now, in the instance's
   * thread; a callback counts as [plugin-thread] there. Returns the timer's id, or 0 when the instance is
   * closed. */
  uint64_t (*start)(void* context, uint64_t after_ms, void (*due)(void* user), void* user);
  /* [any-thread] `due` is not called any more, and does not run when this returns, unless this is called from
   * within the instance's thread. Ids that are over are ignored. */
  void (*stop)(void* context, uint64_t timer);
} cpns_ext_timer;

#ifdef __cplusplus
}
#endif
#endif
