#ifndef CPNS_KEYS_LINE_H
#define CPNS_KEYS_LINE_H
/* One line of a watch, judged: what the table takes from it has the lengths and forms that docs/api/keys.md promises. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/cpns_keys.h"

enum line_event {
  LINE_OTHER,
  LINE_BEGUN,
  LINE_PUT,
  LINE_GONE,
  LINE_SYNCED,
  LINE_RESYNC,
  LINE_RESUMED,
  LINE_PROGRESS
};

enum { line_run_max = 32, line_text_max = 255, line_keys_max = 1024 };

/* Its texts are in the buffer that was read. The room for keys stays from line to line. */
struct line {
  enum line_event event;
  uint64_t revision;
  const char* entity;        /* of put and gone */
  const char* watch;         /* of begun */
  const char* run;           /* of synced; NULL: the role goes on from no revision */
  const char* sessions_from; /* of put; NULL: not said */
  enum cpns_gone why;        /* of gone */
  uint64_t unreadable;
  struct cpns_key* keys; /* of put */
  size_t count;
  size_t room;
};

/* Reads `text`, which it changes. NULL, or a sentence about the fault; then the line is of no use. */
const char* line_read(struct line* l, char* text, size_t length);
void line_free(struct line* l);

/* `detail` of a problem document (RFC 9457) in `text`, and `*code`; NULL: it has none. */
const char* problem_read(char* text, size_t length, const char** code);

#endif
