#include "consumers/mosquitto/sessions.h"

#include <stdlib.h>
#include <string.h>

static void ring_begin(struct session_list* head) { head->next = head->before = head; }

static void ring_add(struct session_list* head, struct session_list* l) {
  l->next = head;
  l->before = head->before;
  head->before->next = l;
  head->before = l;
}

/* One that is in no ring stays so. */
static void ring_remove(struct session_list* l) {
  l->before->next = l->next;
  l->next->before = l->before;
  ring_begin(l);
}

static struct session* around(void* member, size_t offset) {
  return (struct session*)(void*)((char*)member - offset);
}

static struct session* in_ring(const struct session_list* head, struct session_list* l, size_t offset) {
  return l == head ? NULL : around(l, offset);
}

static uint64_t hash_of(const void* client) {
  return (((uint64_t)(uintptr_t)client >> 4U) * 0x9e3779b97f4a7c15U) >> 32U;
}

bool sessions_init(struct sessions* book) {
  memset(book, 0, sizeof *book);
  ring_begin(&book->unnamed);
  ring_begin(&book->doomed);
  return index_begin(&book->by_client) && index_begin(&book->by_entity);
}

static void free_session(struct session* s) {
  free(s->identity);
  free(s->entity);
  free(s->epoch);
  free(s);
}

void sessions_clear(struct sessions* book) {
  for (size_t i = 0; i < book->by_client.size; ++i) {
    struct node* n = book->by_client.slots[i];
    while (n != NULL) {
      struct session* s = (struct session*)n;
      n = n->next;
      free_session(s);
    }
  }
  index_free(&book->by_client);
  index_free(&book->by_entity);
  memset(book, 0, sizeof *book);
}

size_t sessions_count(const struct sessions* book) { return book->by_client.count; }

struct session* sessions_find(const struct sessions* book, const void* client) {
  const uint64_t hash = hash_of(client);
  struct node* n = index_next(&book->by_client, hash, NULL);
  while (n != NULL && ((struct session*)n)->client != client) {
    n = index_next(&book->by_client, hash, n);
  }
  return (struct session*)n;
}

bool sessions_add(struct sessions* book, void* client, const char* identity, const char* entity,
                  const char* epoch, uint64_t since) {
  sessions_remove(book, client);
  struct session* s = calloc(1, sizeof *s);
  if (s == NULL) {
    return false;
  }
  s->client = client;
  s->since = since;
  s->identity = strdup(identity);
  s->entity = strdup(entity);
  s->epoch = strdup(epoch);
  if (s->identity == NULL || s->entity == NULL || s->epoch == NULL || !index_reserve(&book->by_client, 1) ||
      !index_reserve(&book->by_entity, 1)) {
    free_session(s);
    return false;
  }
  index_add(&book->by_client, &s->by_client, hash_of(client));
  index_add(&book->by_entity, &s->by_entity, index_hash(&book->by_entity, entity));
  ring_begin(&s->doomed_ones);
  ring_add(&book->unnamed, &s->unnamed);
  return true;
}

void sessions_set_named(struct session* s) {
  s->named = true;
  ring_remove(&s->unnamed);
}

void sessions_remove(struct sessions* book, const void* client) {
  struct session* s = sessions_find(book, client);
  if (s == NULL) {
    return;
  }
  index_remove(&book->by_client, &s->by_client);
  index_remove(&book->by_entity, &s->by_entity);
  ring_remove(&s->unnamed);
  ring_remove(&s->doomed_ones);
  book->doomed_count -= s->doomed ? 1 : 0;
  free_session(s);
}

static size_t doom(struct sessions* book, struct session* s, const char* below, uint64_t demand,
                   int (*compare)(const char*, const char*)) {
  if (s->doomed || s->since >= demand || (below != NULL && compare(s->epoch, below) >= 0)) {
    return 0;
  }
  s->doomed = true;
  ++book->doomed_count;
  ring_add(&book->doomed, &s->doomed_ones);
  return 1;
}

static size_t doom_all(struct sessions* book, const char* below, uint64_t demand,
                       int (*compare)(const char*, const char*)) {
  size_t marked = 0;
  for (size_t i = 0; i < book->by_client.size; ++i) {
    for (struct node* n = book->by_client.slots[i]; n != NULL; n = n->next) {
      marked += doom(book, (struct session*)n, below, demand, compare);
    }
  }
  return marked;
}

size_t sessions_doom(struct sessions* book, const char* entity, const char* below, uint64_t demand,
                     int (*compare)(const char*, const char*)) {
  if (entity == NULL) {
    return doom_all(book, below, demand, compare);
  }
  size_t marked = 0;
  const uint64_t hash = index_hash(&book->by_entity, entity);
  for (struct node* n = index_next(&book->by_entity, hash, NULL); n != NULL;
       n = index_next(&book->by_entity, hash, n)) {
    struct session* s = around(n, offsetof(struct session, by_entity));
    if (strcmp(s->entity, entity) == 0) {
      marked += doom(book, s, below, demand, compare);
    }
  }
  return marked;
}

struct session* sessions_first_unnamed(const struct sessions* book) {
  return in_ring(&book->unnamed, book->unnamed.next, offsetof(struct session, unnamed));
}

struct session* sessions_next_unnamed(const struct sessions* book, const struct session* s) {
  return in_ring(&book->unnamed, s->unnamed.next, offsetof(struct session, unnamed));
}

struct session* sessions_first_doomed(const struct sessions* book) {
  return in_ring(&book->doomed, book->doomed.next, offsetof(struct session, doomed_ones));
}

void sessions_postpone(struct sessions* book, struct session* s) {
  ring_remove(&s->doomed_ones);
  ring_add(&book->doomed, &s->doomed_ones);
}
