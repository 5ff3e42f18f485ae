#include "text.h"

#include <string.h>

static const char* const gone_names[] = {
    [CPNS_GONE_RETIRED] = "retired",   [CPNS_GONE_REPLACED] = "replaced",
    [CPNS_GONE_RESET] = "reset",       [CPNS_GONE_FORGOTTEN] = "forgotten",
    [CPNS_GONE_REJECTED] = "rejected", [CPNS_GONE_QUARANTINED] = "quarantined",
    [CPNS_GONE_REVOKED] = "revoked",   [CPNS_GONE_MOVED] = "moved",
    [CPNS_GONE_NONE] = "none",         [CPNS_GONE_UNREADABLE] = "unreadable",
    [CPNS_GONE_UNKNOWN] = "unknown"};
enum { gone_count = sizeof gone_names / sizeof gone_names[0] };

const char* cpns_keys_gone_name(enum cpns_gone why) {
  return (unsigned)why < gone_count ? gone_names[why] : gone_names[CPNS_GONE_UNKNOWN];
}

bool cpns_keys_ends_sessions(enum cpns_gone why) {
  return why != CPNS_GONE_RETIRED && why != CPNS_GONE_UNREADABLE;
}

enum cpns_gone gone_of(const char* reason) {
  /* The first two are of single keys, and not codes of a line. */
  for (unsigned i = CPNS_GONE_RESET; i < gone_count; ++i)
    if (strcmp(reason, gone_names[i]) == 0) return (enum cpns_gone)i;
  return CPNS_GONE_UNKNOWN;
}

/* Reads digits up to `stop`; false: there is none, or too many. */
static bool number(const char** at, char stop, uint64_t* out) {
  enum { digits_max = 18 };
  int count = 0;
  for (*out = 0; **at >= '0' && **at <= '9'; ++*at) {
    if (++count > digits_max) return false;
    *out = *out * 10U + (uint64_t)(**at - '0');
  }
  if (count == 0 || **at != stop) return false;
  if (stop != '\0') ++*at;
  return true;
}

static bool read_epoch(const char* text, uint64_t* generation, uint64_t* index) {
  return number(&text, '.', generation) && number(&text, '\0', index);
}

bool is_epoch(const char* text) {
  uint64_t generation = 0;
  uint64_t index = 0;
  return read_epoch(text, &generation, &index);
}

static int order(uint64_t a, uint64_t b) { return a < b ? -1 : a > b ? 1 : 0; }

int cpns_keys_compare_epochs(const char* a, const char* b) {
  uint64_t of_a[2] = {0, 0};
  uint64_t of_b[2] = {0, 0};
  const bool good_a = a != NULL && read_epoch(a, &of_a[0], &of_a[1]);
  const bool good_b = b != NULL && read_epoch(b, &of_b[0], &of_b[1]);
  if (!good_a || !good_b) return (int)good_a - (int)good_b;
  const int generations = order(of_a[0], of_b[0]);
  return generations != 0 ? generations : order(of_a[1], of_b[1]);
}

bool is_purpose(const char* text) {
  enum { purpose_max = 16 };
  const size_t length = strlen(text);
  return length >= 1 && length <= purpose_max && text[0] != '-' &&
         strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar. */
static int64_t days_to(int64_t year, int64_t month, int64_t day) {
  year -= month <= 2;
  const int64_t era = year / 400;
  const int64_t of_era = year - era * 400;
  const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t milliseconds_of(const char* date) {
  static const char stops[] = "--T::";
  uint64_t parts[5];
  for (int i = 0; i < 5; ++i)
    if (!number(&date, stops[i], &parts[i])) return 0;
  uint64_t second = 0;
  uint64_t fraction = 0;
  const bool whole = strchr(date, '.') == NULL;
  if (!number(&date, whole ? 'Z' : '.', &second)) return 0;
  if (!whole && (strspn(date, "0123456789") != 3 || !number(&date, 'Z', &fraction))) return 0;
  if (*date != '\0' || parts[0] > 9999 || parts[1] < 1 || parts[1] > 12 || parts[2] < 1 || parts[2] > 31 ||
      parts[3] > 23 || parts[4] > 59 || second > 60)
    return 0;
  const int64_t days = days_to((int64_t)parts[0], (int64_t)parts[1], (int64_t)parts[2]);
  return ((days * 24 + (int64_t)parts[3]) * 60 + (int64_t)parts[4]) * 60000 +
         (int64_t)(second * 1000 + fraction);
}

static int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool decode_hex(char* text, size_t length) {
  if (length % 2 != 0) return false;
  unsigned char* to = (unsigned char*)text;
  for (size_t i = 0; i < length; i += 2) {
    const int high = digit_of(text[i]);
    const int low = digit_of(text[i + 1]);
    if (high < 0 || low < 0) return false;
    *to++ = (unsigned char)(high << 4 | low);
  }
  return true;
}
