#ifndef CPNS_SESSIONS_H
#define CPNS_SESSIONS_H
/* The broker knows a client by the identity of its key, which has the epoch: rights and kicks by that name would miss each
 * client at its next key. This book has, for each client for which a key was answered, the identity, the Entity ID and the
 * epoch, from the look-up until the client has gone. What it is asked in a tick of the broker costs no walk over all
 * sessions. For the broker's thread alone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "consumers/libcpns-keys/index.h"

#ifdef __cplusplus
extern "C" {
#endif

struct session_list {
  struct session_list* next; /* a ring through its head */
  struct session_list* before;
};

struct session {
  struct node by_client; /* the first member */
  struct node by_entity;
  struct session_list unnamed;
  struct session_list doomed_ones;
  void* client; /* the broker's; it lives until its disconnect, or until its TLS connection is freed */
  char* identity;
  char* entity;
  char* epoch;
  uint64_t since; /* the newest demand to end sessions at its look-up */
  bool named;     /* the broker knows the client by its Entity ID */
  bool doomed;    /* has to be ended */
};

/* Not to be moved. */
struct sessions {
  struct index by_client;
  struct index by_entity;
  struct session_list unnamed;
  struct session_list doomed;
  size_t doomed_count;
};

/* False: no memory, or no random bytes. */
bool sessions_init(struct sessions* book);

void sessions_clear(struct sessions* book);

size_t sessions_count(const struct sessions* book);

/* A client that is in the book already gets the new key. False: no memory, and the client is not in the book. */
bool sessions_add(struct sessions* book, void* client, const char* identity, const char* entity,
                  const char* epoch, uint64_t since);

/* NULL: none. Valid until the next call that adds or removes. */
struct session* sessions_find(const struct sessions* book, const void* client);

void sessions_set_named(struct session* s);

void sessions_remove(struct sessions* book, const void* client);

/* Carries out demand number `demand`: marks the sessions of the device that began before it, with a key of an epoch below
 * `below`; with NULL all of them. A NULL entity stands for all devices. `compare` orders two epochs. Returns the number of
 * new marks. */
size_t sessions_doom(struct sessions* book, const char* entity, const char* below, uint64_t demand,
                     int (*compare)(const char*, const char*));

/* The first session that is not named, or the one that follows `s`; NULL if there is none. */
struct session* sessions_first_unnamed(const struct sessions* book);
struct session* sessions_next_unnamed(const struct sessions* book, const struct session* s);

/* The first session that is doomed; NULL if there is none. */
struct session* sessions_first_doomed(const struct sessions* book);

/* Puts a session that is doomed behind all others that are. */
void sessions_postpone(struct sessions* book, struct session* s);

#ifdef __cplusplus
}
#endif

#endif
