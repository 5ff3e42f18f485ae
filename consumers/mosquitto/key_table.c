#include "consumers/mosquitto/key_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consumers/libcpns-keys/index.h"

struct entry {
  struct node by_identity; /* the first member */
  size_t length;
  unsigned round; /* in which it was put */
  unsigned char bytes[KEY_TABLE_BYTES];
  char* entity; /* these point into `text` */
  char* epoch;
  char text[]; /* identity, entity, epoch, each with its NUL */
};

struct key_table {
  pthread_mutex_t lock;
  struct index identities;
  unsigned round;
};

static void wipe_and_free(struct entry* e) {
  explicit_bzero(e->bytes, sizeof e->bytes);
  free(e);
}

struct key_table* key_table_new(void) {
  struct key_table* table = calloc(1, sizeof *table);
  if (table == NULL) {
    return NULL;
  }
  if (!index_begin(&table->identities) || pthread_mutex_init(&table->lock, NULL) != 0) {
    free(table);
    return NULL;
  }
  return table;
}

/* Wipes all keys, or those that were not put in this round. */
static void remove_keys(struct key_table* table, bool all) {
  for (size_t i = 0; i < table->identities.size; ++i) {
    struct node* n = table->identities.slots[i];
    while (n != NULL) {
      struct entry* e = (struct entry*)n;
      n = n->next;
      if (all || e->round != table->round) {
        index_remove(&table->identities, &e->by_identity);
        wipe_and_free(e);
      }
    }
  }
}

void key_table_free(struct key_table* table) {
  if (table == NULL) {
    return;
  }
  remove_keys(table, true);
  index_free(&table->identities);
  pthread_mutex_destroy(&table->lock);
  free(table);
}

static struct entry* find(const struct key_table* table, uint64_t hash, const char* identity) {
  struct node* n = index_next(&table->identities, hash, NULL);
  while (n != NULL && strcmp(((struct entry*)n)->text, identity) != 0) {
    n = index_next(&table->identities, hash, n);
  }
  return (struct entry*)n;
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
  if (!index_reserve(&table->identities, 1)) {
    pthread_mutex_unlock(&table->lock);
    wipe_and_free(fresh);
    return -ENOMEM;
  }
  const uint64_t hash = index_hash(&table->identities, identity);
  struct entry* before = find(table, hash, identity);
  if (before != NULL) {
    index_remove(&table->identities, &before->by_identity);
  }
  fresh->round = table->round;
  index_add(&table->identities, &fresh->by_identity, hash);
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
  remove_keys(table, false);
  pthread_mutex_unlock(&table->lock);
}

void key_table_remove(struct key_table* table, const char* identity) {
  pthread_mutex_lock(&table->lock);
  struct entry* e = find(table, index_hash(&table->identities, identity), identity);
  if (e != NULL) {
    index_remove(&table->identities, &e->by_identity);
  }
  pthread_mutex_unlock(&table->lock);
  if (e != NULL) {
    wipe_and_free(e);
  }
}

bool key_table_find(struct key_table* table, const char* identity, struct found_key* out) {
  static const char digits[] = "0123456789abcdef";
  pthread_mutex_lock(&table->lock);
  const struct entry* e = find(table, index_hash(&table->identities, identity), identity);
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
  const size_t size = table->identities.count;
  pthread_mutex_unlock(&table->lock);
  return size;
}

void key_table_wipe(struct found_key* key) { explicit_bzero(key, sizeof *key); }
