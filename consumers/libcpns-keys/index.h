#ifndef CPNS_KEYS_INDEX_H
#define CPNS_KEYS_INDEX_H
/* A hash table of things that have a `struct node` as their member. It is keyed by a random number (SipHash-1-3), because
 * a device chooses a part of its name, and many names with one hash would make each look-up slow. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node {
  struct node* next;
  uint64_t hash;
};

struct index {
  struct node** slots;
  size_t size; /* a power of two, or 0 */
  size_t count;
  uint64_t seed[2];
};

/* false: the system gives no random bytes. */
bool index_begin(struct index* x);
/* Frees the slots, and not the things. */
void index_free(struct index* x);
uint64_t index_hash(const struct index* x, const char* text);

/* Makes room for `more` things, so that index_add cannot fail. false: no memory. */
bool index_reserve(struct index* x, size_t more);
void index_add(struct index* x, struct node* n, uint64_t hash);
void index_remove(struct index* x, struct node* n);
/* The first thing with this hash after `last` (NULL: the first of all); NULL: there is none. */
struct node* index_next(const struct index* x, uint64_t hash, const struct node* last);

#endif
