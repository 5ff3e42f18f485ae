#include "consumers/mosquitto/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WAIT_MS = 2000, MAX_WAIT_MS = 60000 };

/* `500ms` or `2s`. */
static bool read_duration(const char* text, int* out_ms) {
  if (text[0] < '0' || text[0] > '9') {
    return false;
  }
  char* unit = NULL;
  const long number = strtol(text, &unit, 10);
  const long factor = strcmp(unit, "ms") == 0 ? 1 : strcmp(unit, "s") == 0 ? 1000 : 0;
  if (factor == 0 || number > MAX_WAIT_MS / factor) {
    return false;
  }
  *out_ms = (int)(number * factor);
  return true;
}

bool settings_read(struct settings* out, const struct mosquitto_opt* options, int count, char* fault,
                   size_t size) {
  *out = (struct settings){.purpose = "mqtt", .wait_ms = DEFAULT_WAIT_MS};
  for (int i = 0; i < count; ++i) {
    const char* name = options[i].key;
    const char* value = options[i].value == NULL ? "" : options[i].value;
    if (strcmp(name, "socket") == 0) {
      out->socket = value;
    } else if (strcmp(name, "purpose") == 0) {
      out->purpose = value;
    } else if (strcmp(name, "wait") == 0) {
      if (!read_duration(value, &out->wait_ms)) {
        (void)snprintf(fault, size, "plugin_opt_wait: '%.40s' is not a time such as 2s or 500ms, 60s at most",
                       value);
        return false;
      }
    } else {
      (void)snprintf(fault, size, "plugin_opt_%.40s: unknown; there are socket, purpose and wait", name);
      return false;
    }
  }
  if (out->socket == NULL) {
    (void)snprintf(fault, size, "plugin_opt_socket is missing: the path of the key socket of the gateway");
    return false;
  }
  return true;
}
