#ifndef CPNS_TICK_WATCH_H
#define CPNS_TICK_WATCH_H
/* Sessions are ended in the broker's ticks. A broker that gives none, as with per_listener_settings, would take keys and
 * never end a session: this says so, whatever its configuration file says. Times in milliseconds of a monotonic clock. */

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TICK_WATCH_MS = 2000 };

struct tick_watch {
  bool running;
  int64_t since; /* the last tick, or the first look-up if there was none */
};

void tick_watch_tick(struct tick_watch* w, int64_t now);

/* At a look-up: false, refuse it, because there was no tick for TICK_WATCH_MS. */
bool tick_watch_allows(struct tick_watch* w, int64_t now);

#ifdef __cplusplus
}
#endif

#endif
