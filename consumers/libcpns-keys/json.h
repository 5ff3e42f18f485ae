#ifndef CPNS_KEYS_JSON_H
#define CPNS_KEYS_JSON_H
/* A strict reader of JSON (RFC 8259) that walks over one text and allocates nothing. Texts are unescaped in place and
 * end in NUL where their quote was, so the text is changed, and what was read stays valid as long as it.
 * Each function returns false, or -1, at the first byte that is wrong; the reader is of no use after that. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
  char* at;
  char* end;
  unsigned depth;
};

enum { json_depth_max = 16 };

void json_begin(struct json* j, char* text, size_t length);
/* Nothing but white space is left. */
bool json_end(struct json* j);

bool json_object(struct json* j);
/* 1: `name` is the next member and its value comes next; 0: the object is over. `*first` is true before the first one. */
int json_member(struct json* j, bool* first, const char** name);
bool json_array(struct json* j);
int json_element(struct json* j, bool* first);

/* UTF-8 without NUL. */
bool json_text(struct json* j, char** out, size_t* length);
/* A whole number without sign, fraction or exponent. */
bool json_number(struct json* j, uint64_t* out);
bool json_boolean(struct json* j, bool* out);
/* Reads over a value of any kind. */
bool json_skip(struct json* j);

#endif
