#ifndef CPNS_ABI_EXT_WAKE_H
#define CPNS_ABI_EXT_WAKE_H
/* A hint that a peer woke up, from radios that can notice it without a link. Provided by the host. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_WAKE "cpns.wake/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_wake {
  uint32_t size; /* sizeof(cpns_ext_wake) as the host was built */
  uint32_t reserved;
  /* [plugin-thread, central only, from and until the same moments as link_up] The peer at `address`, which is
   * copied, woke up or restarted, so its end of an existing link may be gone: the host checks that link at once.
   * No effect without a link to that peer. `context` is that of the host. */
  void (*woke)(void* context, const char* address);
} cpns_ext_wake;

#ifdef __cplusplus
}
#endif
#endif
