#include "consumers/mosquitto/tick_watch.h"

void tick_watch_tick(struct tick_watch* w, int64_t now) {
  w->running = true;
  w->since = now;
}

bool tick_watch_allows(struct tick_watch* w, int64_t now) {
  if (!w->running) {
    tick_watch_tick(w, now); /* a broker that reads a large store at its start ticks late */
  }
  return now - w->since < TICK_WATCH_MS;
}
