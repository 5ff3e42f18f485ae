#ifndef CPNS_KEYS_TABLE_H
#define CPNS_KEYS_TABLE_H
/* The keys of all devices, by Entity ID and by identity. Each key is in a block of its own, which is wiped before it is
 * freed. The events of a change are sent when the table is as it should be after it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/cpns_keys.h"
#include "index.h"
#include "line.h"

enum { table_keys_max = 2 * 1024 * 1024 };

struct table {
  struct index devices;
  struct index keys;
  size_t keys_max; /* table_keys_max, or less in a test */
  struct cpns_keys_events events;
  void* user;
  uint64_t round; /* which list of all devices is under way, or was the last one */
};

bool table_begin(struct table* t, const struct cpns_keys_events* events, void* user);
/* Wipes and frees all, without events. */
void table_free(struct table* t);

/* A `put` line. -ENOMEM; -E2BIG: there would be more than keys_max keys. Then the table is as before. */
int table_put(struct table* t, const struct line* l);
/* A `gone` line. */
void table_gone(struct table* t, const char* entity, enum cpns_gone why);
/* All devices will be listed from now on; after that, table_sweep removes those that were not. */
void table_begin_round(struct table* t);
void table_sweep(struct table* t);

const struct cpns_key* table_current(const struct table* t, const char* entity);
const struct cpns_key* table_by_identity(const struct table* t, const char* identity);

#endif
