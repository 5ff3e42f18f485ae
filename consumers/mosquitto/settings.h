#ifndef CPNS_SETTINGS_H
#define CPNS_SETTINGS_H
/* The plugin's own lines in mosquitto.conf: `plugin_opt_NAME VALUE`. */

#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdbool.h>
#include <stddef.h>

struct settings {
  const char* socket;  /* the key socket of the gateway; has to be set. Memory of the options */
  const char* purpose; /* `mqtt` without it */
  int wait_ms;         /* how long the start waits for the keys, 2 s without it */
};

/* False: `fault` (of `size` bytes) has a sentence. */
bool settings_read(struct settings* out, const struct mosquitto_opt* options, int count, char* fault,
                   size_t size);

#endif
