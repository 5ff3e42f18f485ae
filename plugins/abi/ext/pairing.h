#ifndef CPNS_ABI_EXT_PAIRING_H
#define CPNS_ABI_EXT_PAIRING_H
/* The pairing state of radios that have their own pairing (Bluetooth). The protocol above does not depend on it;
 * operators can display it and remove a pairing. Provided by the plugin. Since 1.1. */

#include <stdint.h>

#include "../version.h"

#define CPNS_EXT_PAIRING "cpns.pairing/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_pairing {
  CPNS_PAIRING_UNKNOWN = 0,
  CPNS_PAIRING_NONE = 1,          /* the radio sends in the clear */
  CPNS_PAIRING_ENCRYPTED = 2,     /* paired without authentication: no passkey was compared or entered */
  CPNS_PAIRING_AUTHENTICATED = 3, /* paired with authentication */
  CPNS_PAIRING_IS_32_BITS = CPNS_ENUM_IS_ANY_32_BITS
} cpns_pairing;
CPNS_HOLDS(sizeof(cpns_pairing) == 4, "an enum has 32 bits");

typedef struct cpns_ext_pairing {
  uint32_t size; /* sizeof(cpns_ext_pairing) as the plugin was built */
  uint32_t reserved;
  /* [any-thread] CPNS_PAIRING_UNKNOWN for links that are not up. `context` is that of the transport. */
  cpns_pairing (*of_link)(void* context, uint64_t link);
  /* [any-thread] Central: deletes the pairing with the peer at `address` and closes its link. Unknown addresses
   * are ignored. */
  void (*forget)(void* context, const char* address);
} cpns_ext_pairing;

#ifdef __cplusplus
}
#endif
#endif
