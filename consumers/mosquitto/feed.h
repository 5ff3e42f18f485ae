#ifndef CPNS_FEED_H
#define CPNS_FEED_H
/* The thread that follows the key socket. It keeps the table of keys up to date and acknowledges a key when the table has
 * it. The interface of the broker is for the broker's thread alone, so whatever concerns sessions and the log waits here
 * until the broker's thread takes it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumers/mosquitto/key_table.h"

struct feed;

/* Begins to follow `purpose` at the socket with the path `socket`. The table outlives the feed. 0, or a negative errno
 * value: -EINVAL for a purpose or a path that cannot be. */
int feed_start(struct feed** out, struct key_table* table, const char* socket, const char* purpose);

/* Waits until the table is complete, `timeout_ms` at most. False: it is not. */
bool feed_wait_synced(struct feed* f, int timeout_ms);

/* A number that changes whenever there is something to take: cheap to ask in each tick. */
unsigned feed_changes(const struct feed* f);

/* The number of the newest demand to end sessions; the first one is 1. When a demand has its number, its keys have left the
 * table: of a key that is found after this was asked, only later demands can be meant. */
uint64_t feed_newest_demand(const struct feed* f);

struct feed_demand {
  uint64_t number;
  char* entity; /* NULL: of all devices, which follows a lack of memory or FEED_MAX_DEMANDS */
  char* below;  /* an epoch; NULL: all sessions */
};

/* More of them than this that nobody takes become one for all devices. */
enum { FEED_MAX_DEMANDS = 1 << 20 };

/* The next demand to end sessions, in their order; false: there is none. The caller frees both texts. */
bool feed_take_demand(struct feed* f, struct feed_demand* out);

/* The next line for the log; false: there is none. The caller frees the text. `warning`: or else a notice. */
bool feed_take_line(struct feed* f, char** text, bool* warning);

/* Ends the thread, within milliseconds. NULL is allowed. */
void feed_stop(struct feed* f);

#endif
