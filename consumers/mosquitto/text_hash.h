#ifndef CPNS_TEXT_HASH_H
#define CPNS_TEXT_HASH_H

#include <stdint.h>

/* FNV-1a. Only names that the role sent are stored by it, so no client can choose those that collide. */
static inline uint64_t text_hash(const char* text) {
  uint64_t hash = 0xcbf29ce484222325U;
  for (; *text != '\0'; ++text) {
    hash = (hash ^ (unsigned char)*text) * 0x100000001b3U;
  }
  return hash;
}

#endif
