#ifndef CPNS_ABI_EXT_FD_H
#define CPNS_ABI_EXT_FD_H
/* Waiting for file descriptors, for plugins that own no event loop. Of the host; see cpns.timer/1 for the
 * thread. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_FD "cpns.fd/1"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CPNS_FD_READABLE = 1u << 0, /* or ended, or in error: what a read tells */
  CPNS_FD_WRITABLE = 1u << 1
};

typedef struct cpns_ext_fd {
  uint32_t size; /* sizeof(cpns_ext_fd) as the host was built */
  uint32_t reserved;
  /* [any-thread, until close has returned] Calls `ready(user, events)` in the instance's thread as long as
   * `fd`, which stays the plugin's, is in one of the states `events` (CPNS_FD_); what was ready and not read
   * is told again. One watch a descriptor. `context` is that of the host. Returns the watch's id, or 0 when
   * the descriptor cannot be watched or the instance is closed. */
  uint64_t (*watch)(void* context, int fd, uint32_t events, void (*ready)(void* user, uint32_t events),
                    void* user);
  /* [any-thread] Waits for other events from now on; 0: for none, until the next change. */
  void (*change)(void* context, uint64_t watch, uint32_t events);
  /* [any-thread] `ready` is not called any more, and does not run when this returns, unless this is called
   * from within the instance's thread. Close the descriptor after this, not before. Ids that are over are
   * ignored. */
  void (*unwatch)(void* context, uint64_t watch);
} cpns_ext_fd;

#ifdef __cplusplus
}
#endif
#endif
