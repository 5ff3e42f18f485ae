#include "consumers/mosquitto/key_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/mosquitto/text_hash.h"

struct entry {
  struct entry* next;
  uint64_t hash;
  size_t length;
  unsigned round; /* in which it was put */
  unsigned char bytes[KEY_TABLE_BYTES];
  char* entity; /* these point into `text` */
  char* epoch;
  char text[]; /* identity, entity, epoch, each with its NUL */
};

struct key_table {
  pthread_mutex_t lock;
  struct entry** slots;
  size_t slot_count; /* a power of two */
  size_t size;
  unsigned round;
};

enum { FIRST_SLOTS = 64 };

static void wipe_and_free(struct entry* e) {
  explicit_bzero(e->bytes, sizeof e->bytes);
  free(e);
}

struct key_table* key_table_new(void) {
  struct key_table* table = calloc(1, sizeof *table);
  if (table == NULL) {
    return NULL;
  }
  table->slots = calloc(FIRST_SLOTS, sizeof(struct entry*));
  if (table->slots == NULL || pthread_mutex_init(&table->lock, NULL) != 0) {
    free(table->slots);
    free(table);
    return NULL;
  }
  table->slot_count = FIRST_SLOTS;
  return table;
}

void key_table_free(struct key_table* table) {
  if (table == NULL) {
    return;
  }
  for (size_t i = 0; i < table->slot_count; ++i) {
    while (table->slots[i] != NULL) {
      struct entry* e = table->slots[i];
      table->slots[i] = e->next;
      wipe_and_free(e);
    }
  }
  free(table->slots);
  pthread_mutex_destroy(&table->lock);
  free(table);
}

/* Where the pointer to the entry is, or would be. */
static struct entry** place_of(const struct key_table* table, uint64_t hash, const char* identity) {
  struct entry** at = &table->slots[hash & (table->slot_count - 1)];
  while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->text, identity) != 0)) {
    at = &(*at)->next;
  }
  return at;
}

static void grow(struct key_table* table) {
  const size_t count = 2 * table->slot_count;
  struct entry** slots = calloc(count, sizeof(struct entry*));
  if (slots == NULL) {
    return; /* longer chains */
  }
  for (size_t i = 0; i < table->slot_count; ++i) {
    while (table->slots[i] != NULL) {
      struct entry* e = table->slots[i];
      table->slots[i] = e->next;
      struct entry** at = &slots[e->hash & (count - 1)];
      e->next = *at;
      *at = e;
    }
  }
  free(table->slots);
  table->slots = slots;
  table->slot_count = count;
}

static struct entry* make_entry(const char* identity, const char* entity, const char* epoch) {
  const size_t sizes[] = {strlen(identity) + 1, strlen(entity) + 1, strlen(epoch) + 1};
  struct entry* e = calloc(1, sizeof *e + sizes[0] + sizes[1] + sizes[2]);
  if (e != NULL) {
    e->entity = e->text + sizes[0];
    e->epoch = e->entity + sizes[1];
    memcpy(e->text, identity, sizes[0]);
    memcpy(e->entity, entity, sizes[1]);
    memcpy(e->epoch, epoch, sizes[2]);
    e->hash = text_hash(identity);
  }
  return e;
}

static bool fits(const char* name) { return strnlen(name, KEY_TABLE_NAME) < KEY_TABLE_NAME; }

int key_table_put(struct key_table* table, const char* identity, const char* entity, const char* epoch,
                  const unsigned char* bytes, size_t length) {
  if (length == 0 || length > KEY_TABLE_BYTES || !fits(identity) || !fits(entity) || !fits(epoch)) {
    return -EINVAL;
  }
  struct entry* fresh = make_entry(identity, entity, epoch);
  if (fresh == NULL) {
    return -ENOMEM;
  }
  memcpy(fresh->bytes, bytes, length);
  fresh->length = length;
  pthread_mutex_lock(&table->lock);
  struct entry** at = place_of(table, fresh->hash, identity);
  struct entry* before = *at;
  fresh->round = table->round;
  fresh->next = before == NULL ? NULL : before->next;
  *at = fresh;
  if (before == NULL && ++table->size > table->slot_count) {
    grow(table);
  }
  pthread_mutex_unlock(&table->lock);
  if (before != NULL) {
    wipe_and_free(before);
  }
  return 0;
}

void key_table_begin(struct key_table* table) {
  pthread_mutex_lock(&table->lock);
  ++table->round;
  pthread_mutex_unlock(&table->lock);
}

void key_table_sweep(struct key_table* table) {
  pthread_mutex_lock(&table->lock);
  for (size_t i = 0; i < table->slot_count; ++i) {
    struct entry** at = &table->slots[i];
    while (*at != NULL) {
      struct entry* e = *at;
      if (e->round == table->round) {
        at = &e->next;
        continue;
      }
      *at = e->next;
      --table->size;
      wipe_and_free(e);
    }
  }
  pthread_mutex_unlock(&table->lock);
}

void key_table_remove(struct key_table* table, const char* identity) {
  pthread_mutex_lock(&table->lock);
  struct entry** at = place_of(table, text_hash(identity), identity);
  struct entry* e = *at;
  if (e != NULL) {
    *at = e->next;
    --table->size;
  }
  pthread_mutex_unlock(&table->lock);
  if (e != NULL) {
    wipe_and_free(e);
  }
}

bool key_table_find(struct key_table* table, const char* identity, struct found_key* out) {
  static const char digits[] = "0123456789abcdef";
  pthread_mutex_lock(&table->lock);
  const struct entry* e = *place_of(table, text_hash(identity), identity);
  if (e != NULL) {
    for (size_t i = 0; i < e->length; ++i) {
      out->hex[2 * i] = digits[e->bytes[i] >> 4];
      out->hex[2 * i + 1] = digits[e->bytes[i] & 15];
    }
    out->hex[2 * e->length] = '\0';
    memcpy(out->entity, e->entity, strlen(e->entity) + 1);
    memcpy(out->epoch, e->epoch, strlen(e->epoch) + 1);
  }
  pthread_mutex_unlock(&table->lock);
  return e != NULL;
}

size_t key_table_size(struct key_table* table) {
  pthread_mutex_lock(&table->lock);
  const size_t size = table->size;
  pthread_mutex_unlock(&table->lock);
  return size;
}

void key_table_wipe(struct found_key* key) { explicit_bzero(key, sizeof *key); }
