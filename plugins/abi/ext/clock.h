#ifndef CPNS_ABI_EXT_CLOCK_H
#define CPNS_ABI_EXT_CLOCK_H
/* Simulated time. Of the host, and only while the time of cpns.timer/1 is simulated: it stands while anybody
 * holds it or a function of cpns.timer/1 or cpns.fd/1 runs, and then jumps to the next timer. A radio that
 * waits by cpns.timer/1 alone needs nothing of this. One that has threads or queues of its own holds the time
 * while something is under way in them that is due now, or it would happen later than it did. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_CLOCK "cpns.clock/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_clock {
  uint32_t size; /* sizeof(cpns_ext_clock) as the host was built */
  uint32_t reserved;
  /* [any-thread, until close has returned] Time stands until as many calls of release have followed.
   * `context` is that of the host. */
  void (*hold)(void* context);
  /* [any-thread, until close has returned] Once for each hold. What is still held when close returns is let
   * go by the host. */
  void (*release)(void* context);
} cpns_ext_clock;

#ifdef __cplusplus
}
#endif
#endif
