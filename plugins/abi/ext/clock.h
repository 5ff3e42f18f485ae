#ifndef CPNS_ABI_EXT_CLOCK_H
#define CPNS_ABI_EXT_CLOCK_H
/* Simulated time. Provided by the host, and only while the time of cpns.timer/1 is simulated. Time stands still
 * while a plugin holds it or a callback of cpns.timer/1 or cpns.fd/1 runs; then it jumps to the next timer. A
 * radio that waits only with cpns.timer/1 does not need this. A radio with its own threads or queues holds the
 * time while they process something that is due now; otherwise it would happen too late. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_CLOCK "cpns.clock/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_clock {
  uint32_t size; /* sizeof(cpns_ext_clock) as the host was built */
  uint32_t reserved;
  /* [any-thread, until close has returned] Time stands still until release was called as many times as hold.
   * `context` is that of the host. */
  void (*hold)(void* context);
  /* [any-thread, until close has returned] Once for each hold. The host releases all remaining holds when close
   * returns. */
  void (*release)(void* context);
} cpns_ext_clock;

#ifdef __cplusplus
}
#endif
#endif
