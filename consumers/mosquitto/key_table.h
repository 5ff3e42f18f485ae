#ifndef CPNS_KEY_TABLE_H
#define CPNS_KEY_TABLE_H
/* A broker that asks a socket inside a handshake stands still for all clients when the other end does. So the keys lie in
 * this table: one thread feeds it, and the broker's thread looks keys up. Each function may be called by any thread; a lock
 * is held for one key at a time, and by key_table_sweep() for all. */

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct key_table;

enum { KEY_TABLE_BYTES = 64, KEY_TABLE_NAME = 256 };

/* A copy of one key. Wipe it with key_table_wipe(). */
struct found_key {
  char hex[2 * KEY_TABLE_BYTES + 1];
  char entity[KEY_TABLE_NAME];
  char epoch[KEY_TABLE_NAME];
};

/* NULL: no memory. */
struct key_table* key_table_new(void);

/* Wipes all keys. NULL is allowed. */
void key_table_free(struct key_table* table);

/* Adds a key, or puts it in place of the one with the same identity. -EINVAL: a key of more than KEY_TABLE_BYTES, or a name
 * that does not fit into KEY_TABLE_NAME; -ENOMEM. Then the table is as before. */
int key_table_put(struct key_table* table, const char* identity, const char* entity, const char* epoch,
                  const unsigned char* bytes, size_t length);

/* All keys are going to be put again. */
void key_table_begin(struct key_table* table);

/* Wipes the keys that were not put since the last key_table_begin(). */
void key_table_sweep(struct key_table* table);

/* Wipes the key, if it is there. */
void key_table_remove(struct key_table* table, const char* identity);

/* False: no key has this identity. */
bool key_table_find(struct key_table* table, const char* identity, struct found_key* out);

size_t key_table_size(struct key_table* table);

void key_table_wipe(struct found_key* key);

#ifdef __cplusplus
}
#endif

#endif
