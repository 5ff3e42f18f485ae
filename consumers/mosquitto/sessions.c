#include "consumers/mosquitto/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "consumers/mosquitto/text_hash.h"

enum { FIRST_SLOTS = 64 };

static size_t slot_of(const void* client, size_t count) {
  const uint64_t mixed = ((uint64_t)(uintptr_t)client >> 4) * 0x9e3779b97f4a7c15U;
  return (size_t)(mixed >> 32) & (count - 1);
}

bool sessions_init(struct sessions* book) {
  memset(book, 0, sizeof *book);
  book->slots = calloc(FIRST_SLOTS, sizeof(struct session*));
  book->slot_count = book->slots == NULL ? 0 : FIRST_SLOTS;
  return book->slots != NULL;
}

static void free_session(struct session* s) {
  free(s->identity);
  free(s->entity);
  free(s->epoch);
  free(s);
}

void sessions_clear(struct sessions* book) {
  for (size_t i = 0; i < book->slot_count; ++i) {
    while (book->slots[i] != NULL) {
      struct session* s = book->slots[i];
      book->slots[i] = s->next;
      free_session(s);
    }
  }
  free(book->slots);
  memset(book, 0, sizeof *book);
}

struct session* sessions_find(const struct sessions* book, const void* client) {
  struct session* s = book->slots[slot_of(client, book->slot_count)];
  while (s != NULL && s->client != client) {
    s = s->next;
  }
  return s;
}

static void grow(struct sessions* book) {
  const size_t count = 2 * book->slot_count;
  struct session** slots = calloc(count, sizeof(struct session*));
  if (slots == NULL) {
    return; /* longer chains */
  }
  for (size_t i = 0; i < book->slot_count; ++i) {
    while (book->slots[i] != NULL) {
      struct session* s = book->slots[i];
      book->slots[i] = s->next;
      struct session** at = &slots[slot_of(s->client, count)];
      s->next = *at;
      *at = s;
    }
  }
  free(book->slots);
  book->slots = slots;
  book->slot_count = count;
}

bool sessions_add(struct sessions* book, void* client, const char* identity, const char* entity,
                  const char* epoch) {
  sessions_remove(book, client);
  struct session* s = calloc(1, sizeof *s);
  if (s == NULL) {
    return false;
  }
  s->client = client;
  s->identity = strdup(identity);
  s->entity = strdup(entity);
  s->epoch = strdup(epoch);
  if (s->identity == NULL || s->entity == NULL || s->epoch == NULL) {
    free_session(s);
    return false;
  }
  s->entity_hash = text_hash(entity);
  struct session** at = &book->slots[slot_of(client, book->slot_count)];
  s->next = *at;
  *at = s;
  ++book->unnamed;
  if (++book->size > book->slot_count) {
    grow(book);
  }
  return true;
}

void sessions_set_named(struct sessions* book, struct session* s) {
  if (!s->named) {
    s->named = true;
    --book->unnamed;
  }
}

void sessions_remove(struct sessions* book, const void* client) {
  struct session** at = &book->slots[slot_of(client, book->slot_count)];
  while (*at != NULL && (*at)->client != client) {
    at = &(*at)->next;
  }
  struct session* s = *at;
  if (s == NULL) {
    return;
  }
  *at = s->next;
  --book->size;
  book->unnamed -= s->named ? 0 : 1;
  book->doomed -= s->doomed ? 1 : 0;
  free_session(s);
}

size_t sessions_doom(struct sessions* book, const char* entity, const char* below,
                     int (*compare)(const char*, const char*)) {
  const uint64_t hash = entity == NULL ? 0 : text_hash(entity);
  size_t marked = 0;
  for (size_t i = 0; i < book->slot_count; ++i) {
    for (struct session* s = book->slots[i]; s != NULL; s = s->next) {
      const bool meant = entity == NULL || (s->entity_hash == hash && strcmp(s->entity, entity) == 0);
      if (meant && !s->doomed && (below == NULL || compare(s->epoch, below) < 0)) {
        s->doomed = true;
        ++marked;
      }
    }
  }
  book->doomed += marked;
  return marked;
}

static bool is_unnamed(const struct session* s) { return !s->named; }
static bool is_doomed(const struct session* s) { return s->doomed; }

static struct session* any(struct sessions* book, bool (*wanted)(const struct session*)) {
  for (size_t i = 0; i < book->slot_count; ++i) {
    for (struct session* s = book->slots[book->cursor & (book->slot_count - 1)]; s != NULL; s = s->next) {
      if (wanted(s)) {
        return s;
      }
    }
    ++book->cursor; /* so that a search for each of many looks into each slot once */
  }
  return NULL;
}

struct session* sessions_any_unnamed(struct sessions* book) {
  return book->unnamed == 0 ? NULL : any(book, is_unnamed);
}

struct session* sessions_any_doomed(struct sessions* book) {
  return book->doomed == 0 ? NULL : any(book, is_doomed);
}
