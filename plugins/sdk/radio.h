#ifndef CPNS_SDK_RADIO_H
#define CPNS_SDK_RADIO_H
/* Helpers for authors of radios in C: code that every radio needs. C11; depends only on the headers in abi/. */

#include "parameters.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The first checks of open: sizes of host and arguments, role, parameters against `list`. If this returns anything
 * but CPNS_OK, open must return the same; a wrong parameter was reported to the host. The host may be of interface
 * 1.0: test CPNS_HAS(host, connect_failed) before you call a later function. */
static inline cpns_status cpns_open_check(const cpns_parameter_list* list, const cpns_host* host,
                                          const cpns_open_args* args) {
  if (host == NULL || args == NULL || args->size < sizeof *args) return CPNS_ERROR;
  if (!CPNS_HAS(host, get_extension)) return CPNS_ERROR;
  if (args->role != CPNS_ROLE_CENTRAL && args->role != CPNS_ROLE_PERIPHERAL) return CPNS_UNSUPPORTED;
  return cpns_parameters_check(list, host, args);
}

/* Logs the reason why the radio cannot be used. Returns CPNS_UNAVAILABLE, for open. */
static inline cpns_status cpns_unavailable(const cpns_host* host, const char* what, const char* why) {
  char line[400];
  snprintf(line, sizeof line, "%.200s: %.160s", what, why);
  host->log(host->context, CPNS_LOG_ERROR, line);
  return CPNS_UNAVAILABLE;
}

/* For get_limits: copies as many bytes of `own` as the host's struct has. */
static inline void cpns_limits_fill(cpns_limits* out, cpns_limits own) {
  own.size = out->size < (uint32_t)sizeof own ? out->size : (uint32_t)sizeof own;
  memcpy(out, &own, own.size);
}

/* connect of radios that link to found peers without being asked. */
static inline cpns_status cpns_no_connect(void* context, const char* address) {
  (void)context;
  (void)address;
  return CPNS_UNSUPPORTED;
}

/* get_extension of radios without extensions. */
static inline const void* cpns_no_extension(void* context, const char* id) {
  (void)context;
  (void)id;
  return NULL;
}

/* The table of an instance, for radios without connect and without extensions. */
static inline cpns_transport
cpns_transport_table(void* context, void (*get_limits)(void*, cpns_limits*), cpns_status (*scan)(void*, bool),
                     cpns_status (*add_endpoint)(void*, uint64_t, const char*),
                     void (*remove_endpoint)(void*, uint64_t),
                     cpns_status (*send)(void*, uint64_t, const uint8_t*, size_t),
                     void (*disconnect)(void*, uint64_t), void (*close)(void*)) {
  const cpns_transport t = {
      sizeof t, 0,          context, get_limits,        scan, add_endpoint, remove_endpoint, cpns_no_connect,
      send,     disconnect, close,   cpns_no_extension, NULL};
  return t;
}

#ifdef __cplusplus
}
#endif

/* Defines the exported entry. `specs` is an array of cpns_parameter_spec. */
#define CPNS_ENTRY(name, version, description, specs, open)                                                  \
  CPNS_EXPORT const cpns_transport_entry_t cpns_transport_entry = {sizeof(cpns_transport_entry_t),           \
                                                                   CPNS_ABI_MAJOR,                           \
                                                                   CPNS_ABI_MINOR,                           \
                                                                   0,                                        \
                                                                   name,                                     \
                                                                   version,                                  \
                                                                   description,                              \
                                                                   open,                                     \
                                                                   specs,                                    \
                                                                   sizeof(specs) / sizeof((specs)[0]),       \
                                                                   sizeof((specs)[0])}
#endif
