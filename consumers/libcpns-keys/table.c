#include "table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct key {
  struct node by_identity;
  struct cpns_key shown; /* its texts and bytes are in `room` */
  size_t size;           /* of the whole block */
  char room[];
};

struct device {
  struct node by_entity;
  struct key** keys;
  size_t count;
  uint64_t seen;       /* round */
  char* sessions_from; /* the highest one that was said; NULL: none */
  char entity[];
};

bool table_begin(struct table* t, const struct cpns_keys_events* events, void* user) {
  *t = (struct table){.user = user, .keys_max = table_keys_max};
  if (events != NULL) t->events = *events;
  return index_begin(&t->devices) && index_begin(&t->keys);
}

static void free_key(struct key* k) {
  if (k == NULL) return;
  explicit_bzero(k, k->size);
  free(k);
}

static char* append(char** at, const void* from, size_t size) {
  char* const begin = *at;
  memcpy(begin, from, size);
  *at += size;
  return begin;
}

static struct key* new_key(const struct cpns_key* from) {
  const size_t entity = strlen(from->entity) + 1;
  const size_t epoch = strlen(from->epoch) + 1;
  const size_t identity = strlen(from->identity) + 1;
  const size_t state = strlen(from->state) + 1;
  const size_t size = sizeof(struct key) + entity + epoch + identity + state + from->length;
  struct key* k = malloc(size);
  if (k == NULL) return NULL;
  k->size = size;
  k->shown = *from;
  char* at = k->room;
  k->shown.bytes = (unsigned char*)append(&at, from->bytes, from->length);
  k->shown.entity = append(&at, from->entity, entity);
  k->shown.epoch = append(&at, from->epoch, epoch);
  k->shown.identity = append(&at, from->identity, identity);
  k->shown.state = append(&at, from->state, state);
  return k;
}

static bool same_bytes(const struct cpns_key* a, const struct cpns_key* b) {
  return strcmp(a->identity, b->identity) == 0 && a->length == b->length &&
         memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool same_key(const struct cpns_key* a, const struct cpns_key* b) {
  return same_bytes(a, b) && strcmp(a->epoch, b->epoch) == 0 && strcmp(a->state, b->state) == 0 &&
         a->use == b->use && a->since_ms == b->since_ms;
}

static struct device* find_device(const struct table* t, const char* entity) {
  const uint64_t hash = index_hash(&t->devices, entity);
  for (struct node* n = index_next(&t->devices, hash, NULL); n != NULL;
       n = index_next(&t->devices, hash, n)) {
    struct device* const d = (struct device*)n;
    if (strcmp(d->entity, entity) == 0) return d;
  }
  return NULL;
}

static struct device* new_device(struct table* t, const char* entity) {
  const size_t length = strlen(entity) + 1;
  struct device* d = calloc(1, sizeof *d + length);
  if (d == NULL || !index_reserve(&t->devices, 1)) {
    free(d);
    return NULL;
  }
  memcpy(d->entity, entity, length);
  index_add(&t->devices, &d->by_entity, index_hash(&t->devices, entity));
  return d;
}

/* Its keys are not in the index any more. */
static void free_device(struct device* d) {
  for (size_t i = 0; i < d->count; ++i) free_key(d->keys[i]);
  free(d->keys);
  free(d->sessions_from);
  free(d);
}

static struct key** find_epoch(struct key** keys, size_t count, const char* epoch) {
  for (size_t i = 0; i < count; ++i)
    if (keys[i] != NULL && cpns_keys_compare_epochs(keys[i]->shown.epoch, epoch) == 0) return &keys[i];
  return NULL;
}

/* The keys of the line: those that did not change as NULL, new blocks for the others. NULL: no memory. */
static struct key** make_keys(const struct device* d, const struct line* l) {
  struct key** made = calloc(l->count, sizeof(struct key*));
  if (made == NULL) return NULL;
  for (size_t i = 0; i < l->count; ++i) {
    struct key** const old = find_epoch(d->keys, d->count, l->keys[i].epoch);
    if (old != NULL && same_key(&(*old)->shown, &l->keys[i])) continue;
    made[i] = new_key(&l->keys[i]);
    if (made[i] != NULL) continue;
    while (i-- > 0) free_key(made[i]);
    free(made);
    return NULL;
  }
  return made;
}

static void tell_gone(const struct table* t, const struct cpns_key* k, enum cpns_gone why) {
  if (t->events.gone != NULL) t->events.gone(t->user, k->entity, k->epoch, k->identity, why);
}

static void tell_end(const struct table* t, const char* entity, const char* below, enum cpns_gone why) {
  if (t->events.end_sessions != NULL && cpns_keys_ends_sessions(why))
    t->events.end_sessions(t->user, entity, below, why);
}

static bool is_below(const char* epoch, const char* sessions_from) {
  return sessions_from != NULL && cpns_keys_compare_epochs(epoch, sessions_from) < 0;
}

/* `old` are the keys before, NULL where the device has them still; `put` tells which of the new ones to say. */
static void tell_changes(const struct table* t, const struct device* d, struct key** old, size_t old_count,
                         const bool* put) {
  for (size_t i = 0; i < old_count; ++i) {
    if (old[i] == NULL) continue;
    struct key** const now = find_epoch(d->keys, d->count, old[i]->shown.epoch);
    if (now == NULL) continue;
    /* Another key of the same epoch: the purpose has another length, or the identities another form. */
    if (!same_bytes(&(*now)->shown, &old[i]->shown)) tell_gone(t, &old[i]->shown, CPNS_GONE_REPLACED);
  }
  for (size_t i = 0; i < d->count; ++i)
    if (put[i] && t->events.put != NULL) t->events.put(t->user, &d->keys[i]->shown);
  for (size_t i = 0; i < old_count; ++i) {
    if (old[i] == NULL || find_epoch(d->keys, d->count, old[i]->shown.epoch) != NULL) continue;
    tell_gone(t, &old[i]->shown,
              is_below(old[i]->shown.epoch, d->sessions_from) ? CPNS_GONE_REPLACED : CPNS_GONE_RETIRED);
  }
}

/* What a line needs before anything is changed. */
struct prepared {
  struct key** keys;
  bool* put;
  char* sessions_from; /* NULL: not higher than before */
};

/* How many keys more there are after the line: it takes the place of all keys of its device, NULL: a new one. */
static size_t growth(const struct device* d, const struct line* l) {
  const size_t before = d == NULL ? 0 : d->count;
  return l->count > before ? l->count - before : 0;
}

static bool prepare(struct table* t, const struct device* d, const struct line* l, struct prepared* out) {
  *out = (struct prepared){.keys = make_keys(d, l), .put = calloc(l->count, sizeof(bool))};
  const bool higher =
      l->sessions_from != NULL && (d->sessions_from == NULL || is_below(d->sessions_from, l->sessions_from));
  if (higher) out->sessions_from = strdup(l->sessions_from);
  if (out->keys != NULL && out->put != NULL && (!higher || out->sessions_from != NULL) &&
      index_reserve(&t->keys, growth(d, l)))
    return true;
  for (size_t i = 0; out->keys != NULL && i < l->count; ++i) free_key(out->keys[i]);
  free(out->keys);
  free(out->put);
  free(out->sessions_from);
  return false;
}

static void remove_device(struct table* t, struct device* d, enum cpns_gone why) {
  index_remove(&t->devices, &d->by_entity);
  for (size_t i = 0; i < d->count; ++i) index_remove(&t->keys, &d->keys[i]->by_identity);
  for (size_t i = 0; i < d->count; ++i) tell_gone(t, &d->keys[i]->shown, why);
  tell_end(t, d->entity, NULL, why);
  free_device(d);
}

int table_put(struct table* t, const struct line* l) {
  struct device* d = find_device(t, l->entity);
  if (t->keys.count + growth(d, l) > t->keys_max) return -E2BIG;
  const bool is_new = d == NULL;
  if (is_new) d = new_device(t, l->entity);
  if (d == NULL) return -ENOMEM;
  d->seen = t->round;
  struct prepared made;
  if (!prepare(t, d, l, &made)) {
    if (is_new) {
      index_remove(&t->devices, &d->by_entity);
      free_device(d);
    }
    return -ENOMEM;
  }
  struct key** const old = d->keys;
  const size_t old_count = d->count;
  for (size_t i = 0; i < l->count; ++i) {
    made.put[i] = made.keys[i] != NULL;
    if (made.put[i]) continue;
    struct key** const same = find_epoch(old, old_count, l->keys[i].epoch);
    made.keys[i] = *same;
    *same = NULL;
  }
  for (size_t i = 0; i < old_count; ++i)
    if (old[i] != NULL) index_remove(&t->keys, &old[i]->by_identity);
  d->keys = made.keys;
  d->count = l->count;
  for (size_t i = 0; i < d->count; ++i)
    if (made.put[i])
      index_add(&t->keys, &d->keys[i]->by_identity, index_hash(&t->keys, d->keys[i]->shown.identity));
  if (made.sessions_from != NULL) {
    free(d->sessions_from);
    d->sessions_from = made.sessions_from;
  }
  tell_changes(t, d, old, old_count, made.put);
  if (made.sessions_from != NULL) tell_end(t, d->entity, d->sessions_from, CPNS_GONE_REPLACED);
  for (size_t i = 0; i < old_count; ++i) free_key(old[i]);
  free(old);
  free(made.put);
  return 0;
}

void table_gone(struct table* t, const char* entity, enum cpns_gone why) {
  struct device* const d = find_device(t, entity);
  if (d != NULL)
    remove_device(t, d, why);
  else
    tell_end(t, entity, NULL, why);
}

void table_begin_round(struct table* t) { ++t->round; }

void table_sweep(struct table* t) {
  for (size_t i = 0; i < t->devices.size; ++i) {
    for (struct node* n = t->devices.slots[i]; n != NULL;) {
      struct node* const next = n->next;
      struct device* const d = (struct device*)n;
      if (d->seen != t->round) remove_device(t, d, CPNS_GONE_UNKNOWN);
      n = next;
    }
  }
}

void table_free(struct table* t) {
  for (size_t i = 0; i < t->devices.size; ++i) {
    for (struct node* n = t->devices.slots[i]; n != NULL;) {
      struct node* const next = n->next;
      free_device((struct device*)n);
      n = next;
    }
  }
  index_free(&t->devices);
  index_free(&t->keys);
}

const struct cpns_key* table_current(const struct table* t, const char* entity) {
  const struct device* const d = find_device(t, entity);
  for (size_t i = 0; d != NULL && i < d->count; ++i)
    if (d->keys[i]->shown.use) return &d->keys[i]->shown;
  return NULL;
}

const struct cpns_key* table_by_identity(const struct table* t, const char* identity) {
  const uint64_t hash = index_hash(&t->keys, identity);
  for (struct node* n = index_next(&t->keys, hash, NULL); n != NULL; n = index_next(&t->keys, hash, n)) {
    const struct key* const k = (const struct key*)n;
    if (strcmp(k->shown.identity, identity) == 0) return &k->shown;
  }
  return NULL;
}
