#ifndef CPNS_ABI_EXT_FD_H
#define CPNS_ABI_EXT_FD_H
/* Waiting for file descriptors, for plugins without an event loop. Provided by the host; see cpns.timer/1 for the
 * thread. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_FD "cpns.fd/1"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CPNS_FD_READABLE = 1u << 0, /* also end of file and errors: the next read reports them */
  CPNS_FD_WRITABLE = 1u << 1
};

typedef struct cpns_ext_fd {
  uint32_t size; /* sizeof(cpns_ext_fd) as the host was built */
  uint32_t reserved;
  /* [any-thread, until close has returned] Calls `ready(user, events)` in the instance's thread while `fd` is in
   * one of the states `events` (CPNS_FD_), level-triggered. The plugin keeps ownership of `fd`. One watch per
   * descriptor. `context` is that of the host. Returns the watch's id, or 0 if the descriptor cannot be
   * watched or the instance is closed. */
  uint64_t (*watch)(void* context, int fd, uint32_t events, void (*ready)(void* user, uint32_t events),
                    void* user);
  /* [any-thread] Replaces the events to wait for; 0: none, until the next change. */
  void (*change)(void* context, uint64_t watch, uint32_t events);
  /* [any-thread] Ends the watch. When this returns, `ready` does not run and is not called again (called from
   * the instance's thread, it does not wait for a `ready` that runs). Close the descriptor after this, not
   * before. Ids of ended watches are ignored. */
  void (*unwatch)(void* context, uint64_t watch);
} cpns_ext_fd;

#ifdef __cplusplus
}
#endif
#endif
