#include "json.h"

#include <string.h>

void json_begin(struct json* j, char* text, size_t length) {
  j->at = text;
  j->end = text + length;
  j->depth = 0;
}

static void skip_space(struct json* j) {
  while (j->at != j->end && (*j->at == ' ' || *j->at == '\t' || *j->at == '\r' || *j->at == '\n')) ++j->at;
}

/* The next byte that is not white space; 0 at the end. */
static char next(struct json* j) {
  skip_space(j);
  return j->at == j->end ? '\0' : *j->at;
}

static bool take(struct json* j, char c) {
  if (next(j) != c) return false;
  ++j->at;
  return true;
}

bool json_end(struct json* j) {
  skip_space(j);
  return j->at == j->end;
}

static bool enter(struct json* j, char c) {
  if (j->depth == json_depth_max || !take(j, c)) return false;
  ++j->depth;
  return true;
}

bool json_object(struct json* j) { return enter(j, '{'); }
bool json_array(struct json* j) { return enter(j, '['); }

/* 1: an entry comes; 0: it was the last one; -1: neither. */
static int go_on(struct json* j, bool* first, char close) {
  if (take(j, close)) {
    --j->depth;
    return 0;
  }
  if (!*first && !take(j, ',')) return -1;
  *first = false;
  return 1;
}

int json_member(struct json* j, bool* first, const char** name) {
  const int more = go_on(j, first, '}');
  if (more <= 0) return more;
  char* text = NULL;
  size_t length = 0;
  if (!json_text(j, &text, &length) || !take(j, ':')) return -1;
  *name = text;
  return 1;
}

int json_element(struct json* j, bool* first) { return go_on(j, first, ']'); }

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool hex4(struct json* j, uint32_t* out) {
  if (j->end - j->at < 4) return false;
  *out = 0;
  for (int i = 0; i < 4; ++i) {
    const int d = digit_of(*j->at++);
    if (d < 0) return false;
    *out = *out << 4U | (uint32_t)d;
  }
  return true;
}

/* The text behind \u, with the second half of a pair. */
static bool code_point(struct json* j, uint32_t* out) {
  if (!hex4(j, out) || *out == 0 || (*out >= 0xdc00U && *out < 0xe000U)) return false;
  if (*out < 0xd800U || *out >= 0xe000U) return true;
  uint32_t low = 0;
  if (j->end - j->at < 2 || j->at[0] != '\\' || j->at[1] != 'u') return false;
  j->at += 2;
  if (!hex4(j, &low) || low < 0xdc00U || low >= 0xe000U) return false;
  *out = 0x10000U + ((*out - 0xd800U) << 10U) + (low - 0xdc00U);
  return true;
}

/* UTF-8 is never longer than the escape that it replaces. */
static char* encode(char* to, uint32_t c) {
  if (c < 0x80U) {
    *to++ = (char)c;
  } else if (c < 0x800U) {
    *to++ = (char)(0xc0U | c >> 6U);
    *to++ = (char)(0x80U | (c & 0x3fU));
  } else if (c < 0x10000U) {
    *to++ = (char)(0xe0U | c >> 12U);
    *to++ = (char)(0x80U | (c >> 6U & 0x3fU));
    *to++ = (char)(0x80U | (c & 0x3fU));
  } else {
    *to++ = (char)(0xf0U | c >> 18U);
    *to++ = (char)(0x80U | (c >> 12U & 0x3fU));
    *to++ = (char)(0x80U | (c >> 6U & 0x3fU));
    *to++ = (char)(0x80U | (c & 0x3fU));
  }
  return to;
}

static bool escape(struct json* j, char** to) {
  if (j->at == j->end) return false;
  static const char names[] = "\"\\/bfnrt";
  static const char meanings[] = "\"\\/\b\f\n\r\t";
  const char c = *j->at++;
  if (c == 'u') {
    uint32_t code = 0;
    if (!code_point(j, &code)) return false;
    *to = encode(*to, code);
    return true;
  }
  const char* found = c == '\0' ? NULL : strchr(names, c);
  if (found == NULL) return false;
  *(*to)++ = meanings[found - names];
  return true;
}

/* The length of the character of UTF-8 at `at`; 0: it is not one. */
static size_t utf8_length(const char* at, const char* end) {
  const unsigned char first = (unsigned char)*at;
  if (first < 0x80U) return 1;
  const size_t length = first >= 0xc2U && first < 0xe0U   ? 2
                        : first >= 0xe0U && first < 0xf0U ? 3
                        : first >= 0xf0U && first < 0xf5U ? 4
                                                          : 0;
  if (length == 0 || (size_t)(end - at) < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if (((unsigned char)at[i] & 0xc0U) != 0x80U) return 0;
  const unsigned char second = (unsigned char)at[1];
  if ((first == 0xe0U && second < 0xa0U) || (first == 0xedU && second >= 0xa0U) ||
      (first == 0xf0U && second < 0x90U) || (first == 0xf4U && second >= 0x90U))
    return 0;
  return length;
}

bool json_text(struct json* j, char** out, size_t* length) {
  if (!take(j, '"')) return false;
  char* const begin = j->at;
  char* to = begin;
  while (j->at != j->end) {
    const unsigned char c = (unsigned char)*j->at;
    if (c == '"') {
      ++j->at;
      *to = '\0';
      *out = begin;
      *length = (size_t)(to - begin);
      return true;
    }
    if (c < 0x20U) return false;
    if (c == '\\') {
      ++j->at;
      if (!escape(j, &to)) return false;
      continue;
    }
    const size_t n = utf8_length(j->at, j->end);
    if (n == 0) return false;
    memmove(to, j->at, n);
    to += n;
    j->at += n;
  }
  return false;
}

static bool is_digit(const struct json* j) { return j->at != j->end && *j->at >= '0' && *j->at <= '9'; }

static bool ends_value(const struct json* j) {
  return j->at == j->end || *j->at == '\0' || strchr(" \t\r\n,]}", *j->at) != NULL;
}

bool json_number(struct json* j, uint64_t* out) {
  skip_space(j);
  if (!is_digit(j)) return false;
  const bool zero = *j->at == '0';
  const char* const begin = j->at;
  *out = 0;
  while (is_digit(j)) {
    const uint64_t d = (uint64_t)(*j->at++ - '0');
    if (*out > (UINT64_MAX - d) / 10U) return false;
    *out = *out * 10U + d;
  }
  return (!zero || j->at == begin + 1) && ends_value(j);
}

static bool word(struct json* j, const char* text) {
  const size_t length = strlen(text);
  skip_space(j);
  if ((size_t)(j->end - j->at) < length || memcmp(j->at, text, length) != 0) return false;
  j->at += length;
  return ends_value(j);
}

bool json_boolean(struct json* j, bool* out) {
  *out = next(j) == 't';
  return word(j, *out ? "true" : "false");
}

static bool digits(struct json* j) {
  if (!is_digit(j)) return false;
  while (is_digit(j)) ++j->at;
  return true;
}

static bool any_number(struct json* j) {
  if (*j->at == '-') ++j->at;
  const bool zero = is_digit(j) && *j->at == '0';
  const char* const begin = j->at;
  if (!digits(j) || (zero && j->at != begin + 1)) return false;
  if (j->at != j->end && *j->at == '.') {
    ++j->at;
    if (!digits(j)) return false;
  }
  if (j->at != j->end && (*j->at == 'e' || *j->at == 'E')) {
    ++j->at;
    if (j->at != j->end && (*j->at == '+' || *j->at == '-')) ++j->at;
    if (!digits(j)) return false;
  }
  return ends_value(j);
}

static bool skip_object(struct json* j) {
  bool first = true;
  const char* name = NULL;
  int more = json_object(j) ? 1 : -1;
  while (more > 0 && (more = json_member(j, &first, &name)) > 0)
    if (!json_skip(j)) return false;
  return more == 0;
}

static bool skip_array(struct json* j) {
  bool first = true;
  int more = json_array(j) ? 1 : -1;
  while (more > 0 && (more = json_element(j, &first)) > 0)
    if (!json_skip(j)) return false;
  return more == 0;
}

bool json_skip(struct json* j) {
  char* text = NULL;
  size_t length = 0;
  switch (next(j)) {
  case '{': return skip_object(j);
  case '[': return skip_array(j);
  case '"': return json_text(j, &text, &length);
  case 't': return word(j, "true");
  case 'f': return word(j, "false");
  case 'n': return word(j, "null");
  case '\0': return false;
  default: return any_number(j);
  }
}
