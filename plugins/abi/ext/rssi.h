#ifndef CPNS_ABI_EXT_RSSI_H
#define CPNS_ABI_EXT_RSSI_H
/* Received signal strength of a peer. Provided by the plugin. */

#include <stdint.h>

#define CPNS_EXT_RSSI "cpns.rssi/1"
#define CPNS_RSSI_UNKNOWN 127

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cpns_ext_rssi {
  uint32_t size; /* sizeof(cpns_ext_rssi) as the plugin was built */
  uint32_t reserved;
  /* [any-thread] dBm, or CPNS_RSSI_UNKNOWN. `context` is that of the transport. */
  int32_t (*of_link)(void* context, uint64_t link);
} cpns_ext_rssi;

#ifdef __cplusplus
}
#endif
#endif
