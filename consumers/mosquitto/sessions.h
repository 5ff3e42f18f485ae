#ifndef CPNS_SESSIONS_H
#define CPNS_SESSIONS_H
/* The broker knows a client by the identity of its key, which has the epoch: rights and kicks by that name would miss each
 * client at its next key. This book has, for each client for which a key was answered, the identity, the Entity ID and the
 * epoch, from the look-up until the client has gone. For the broker's thread alone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct session {
  void* client; /* the broker's; it lives until its disconnect, or until its TLS connection is freed */
  char* identity;
  char* entity;
  char* epoch;
  bool named;  /* the broker knows the client by its Entity ID */
  bool doomed; /* has to be ended */
  uint64_t entity_hash;
  struct session* next;
};

struct sessions {
  struct session** slots;
  size_t slot_count;
  size_t size;
  size_t unnamed;
  size_t doomed;
  size_t cursor; /* the slot where the next search of any session begins */
};

/* False: no memory. */
bool sessions_init(struct sessions* book);

void sessions_clear(struct sessions* book);

/* A client that is in the book already gets the new key. False: no memory, and the client is not in the book. */
bool sessions_add(struct sessions* book, void* client, const char* identity, const char* entity,
                  const char* epoch);

/* NULL: none. Valid until the next call that adds or removes. */
struct session* sessions_find(const struct sessions* book, const void* client);

void sessions_set_named(struct sessions* book, struct session* s);

void sessions_remove(struct sessions* book, const void* client);

/* Marks the sessions of the device that began with a key of an epoch below `below`; with NULL all of them. A NULL entity
 * stands for all devices. `compare` orders two epochs. Returns the number of new marks. */
size_t sessions_doom(struct sessions* book, const char* entity, const char* below,
                     int (*compare)(const char*, const char*));

/* Any session that is not named, or that is doomed; NULL if there is none. */
struct session* sessions_any_unnamed(struct sessions* book);
struct session* sessions_any_doomed(struct sessions* book);

#ifdef __cplusplus
}
#endif

#endif
