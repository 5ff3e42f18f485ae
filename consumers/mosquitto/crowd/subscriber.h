#ifndef CPNS_CROWD_SUBSCRIBER_H
#define CPNS_CROWD_SUBSCRIBER_H
/* The reader on the hub: gets pn/ENTITY/reading of all devices over a Unix socket of the broker, with QoS 1. */

#include <mosquitto.h>
#include <stdbool.h>
#include <stddef.h>

struct subscriber {
  char* const* entities; /* borrowed */
  size_t size;
  long* last;    /* of each entity: the highest number that came; owned */
  long received; /* each number once */
  long
      missed; /* numbers that a later one overtook: the broker keeps the order, so they do not come any more */

  struct mosquitto* link; /* owned; NULL: closed */
  bool subscribed;
  int refusal; /* of the broker, 0: none */
};

/* Connects to the socket `path` and subscribes; waits until the broker has acknowledged it, 5 s at most. Returns an error of
 * libmosquitto. Messages of other devices are not counted. */
int subscriber_open(struct subscriber* s, const char* path, char* const* entities, size_t size);

/* A subscriber that is zero is closed. For poll: the descriptor, -1 if it is closed, and the events to wait for. */
int subscriber_fd(const struct subscriber* s);
short subscriber_events(const struct subscriber* s);

/* Reads and writes what is due; `ready` is what poll said. Returns an error of libmosquitto: the connection has ended. */
int subscriber_work(struct subscriber* s, short ready);

/* May be called when it is closed. */
void subscriber_close(struct subscriber* s);

#endif
