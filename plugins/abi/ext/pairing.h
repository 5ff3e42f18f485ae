#ifndef CPNS_ABI_EXT_PAIRING_H
#define CPNS_ABI_EXT_PAIRING_H
/* What radios with a pairing of their own (Bluetooth) know of it. The messages above need none: this is for
 * people to see, and to be rid of. Of the plugin. Since 1.1. */

#include <stdint.h>

#define CPNS_EXT_PAIRING "cpns.pairing/1"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_pairing {
  CPNS_PAIRING_UNKNOWN = 0,
  CPNS_PAIRING_NONE = 1,         /* the radio sends in the clear */
  CPNS_PAIRING_ENCRYPTED = 2,    /* paired, and nobody compared anything */
  CPNS_PAIRING_AUTHENTICATED = 3 /* paired, and somebody did */
} cpns_pairing;

typedef struct cpns_ext_pairing {
  uint32_t size; /* sizeof(cpns_ext_pairing) as the plugin was built */
  uint32_t reserved;
  /* [any-thread] CPNS_PAIRING_UNKNOWN for links that are not up. `context` is that of the transport. */
  cpns_pairing (*of_link)(void* context, uint64_t link);
  /* [any-thread] Central: drops what pairing left of the peer at `address`, and its link with it. Unknown
   * ones are ignored. */
  void (*forget)(void* context, const char* address);
} cpns_ext_pairing;

#ifdef __cplusplus
}
#endif
#endif
