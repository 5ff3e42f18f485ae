#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

bool index_begin(struct index* x) {
  *x = (struct index){0};
  ssize_t got = 0;
  do got = getrandom(x->seed, sizeof x->seed, 0);
  while (got < 0 && errno == EINTR);
  return got == (ssize_t)sizeof x->seed;
}

void index_free(struct index* x) {
  free(x->slots);
  *x = (struct index){0};
}

static uint64_t turn(uint64_t v, unsigned by) { return v << by | v >> (64U - by); }

static void mix(uint64_t v[4]) {
  v[0] += v[1];
  v[1] = turn(v[1], 13) ^ v[0];
  v[0] = turn(v[0], 32);
  v[2] += v[3];
  v[3] = turn(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = turn(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = turn(v[1], 17) ^ v[2];
  v[2] = turn(v[2], 32);
}

uint64_t index_hash(const struct index* x, const char* text) {
  uint64_t v[4] = {x->seed[0] ^ 0x736f6d6570736575U, x->seed[1] ^ 0x646f72616e646f6dU,
                   x->seed[0] ^ 0x6c7967656e657261U, x->seed[1] ^ 0x7465646279746573U};
  size_t left = strlen(text);
  uint64_t last = (uint64_t)left << 56U;
  for (; left >= 8; left -= 8, text += 8) {
    uint64_t part = 0;
    memcpy(&part, text, sizeof part);
    v[3] ^= part;
    mix(v);
    v[0] ^= part;
  }
  for (size_t i = 0; i < left; ++i) last |= (uint64_t)(unsigned char)text[i] << (8U * i);
  v[3] ^= last;
  mix(v);
  v[0] ^= last;
  v[2] ^= 0xffU;
  for (int i = 0; i < 3; ++i) mix(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct node** slot_of(const struct index* x, uint64_t hash) {
  return &x->slots[(size_t)hash & (x->size - 1)];
}

bool index_reserve(struct index* x, size_t more) {
  size_t size = x->size == 0 ? 64 : x->size;
  while (size < x->count + more) size *= 2;
  if (size == x->size) return true;
  struct index larger = *x;
  larger.slots = calloc(size, sizeof(struct node*));
  if (larger.slots == NULL) return x->size != 0; /* longer chains */
  larger.size = size;
  for (size_t i = 0; i < x->size; ++i) {
    for (struct node* n = x->slots[i]; n != NULL;) {
      struct node* const next = n->next;
      struct node** const slot = slot_of(&larger, n->hash);
      n->next = *slot;
      *slot = n;
      n = next;
    }
  }
  free(x->slots);
  *x = larger;
  return true;
}

void index_add(struct index* x, struct node* n, uint64_t hash) {
  struct node** const slot = slot_of(x, hash);
  n->hash = hash;
  n->next = *slot;
  *slot = n;
  ++x->count;
}

void index_remove(struct index* x, struct node* n) {
  struct node** at = slot_of(x, n->hash);
  while (*at != n) at = &(*at)->next;
  *at = n->next;
  --x->count;
}

struct node* index_next(const struct index* x, uint64_t hash, const struct node* last) {
  if (x->size == 0) return NULL;
  struct node* n = last == NULL ? *slot_of(x, hash) : last->next;
  while (n != NULL && n->hash != hash) n = n->next;
  return n;
}
