#include "line.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "text.h"

static const char no_json[] = "a line of the role is not JSON";
static const char no_key[] = "the role sent a key that is not one";

enum { watch_max = 64, state_max = 31, bytes_min = 16, bytes_max = 64 };

static bool text_up_to(struct json* j, size_t max, const char** out) {
  char* text = NULL;
  size_t length = 0;
  if (!json_text(j, &text, &length) || length == 0 || length > max) return false;
  *out = text;
  return true;
}

static bool key_bytes(struct json* j, struct cpns_key* k) {
  char* text = NULL;
  size_t length = 0;
  if (!json_text(j, &text, &length) || !decode_hex(text, length)) return false;
  k->bytes = (const unsigned char*)text;
  k->length = length / 2;
  return k->length >= bytes_min && k->length <= bytes_max;
}

static bool key_member(struct json* j, const char* name, struct cpns_key* k, bool* has_use) {
  if (strcmp(name, "entity") == 0) return text_up_to(j, line_text_max, &k->entity);
  if (strcmp(name, "epoch") == 0) return text_up_to(j, line_text_max, &k->epoch) && is_epoch(k->epoch);
  if (strcmp(name, "identity") == 0) return text_up_to(j, line_text_max, &k->identity);
  if (strcmp(name, "state") == 0) return text_up_to(j, state_max, &k->state);
  if (strcmp(name, "key") == 0) return key_bytes(j, k);
  if (strcmp(name, "use") == 0) {
    *has_use = true;
    return json_boolean(j, &k->use);
  }
  if (strcmp(name, "since") == 0) {
    const char* date = NULL;
    if (!text_up_to(j, line_text_max, &date)) return false;
    k->since_ms = milliseconds_of(date);
    return true;
  }
  return json_skip(j);
}

static bool read_key(struct json* j, struct cpns_key* k) {
  *k = (struct cpns_key){0};
  bool first = true;
  bool has_use = false;
  const char* name = NULL;
  if (!json_object(j)) return false;
  int more = 0;
  while ((more = json_member(j, &first, &name)) > 0)
    if (!key_member(j, name, k, &has_use)) return false;
  return more == 0 && k->entity != NULL && k->epoch != NULL && k->identity != NULL && k->state != NULL &&
         k->bytes != NULL && has_use;
}

static bool more_room(struct line* l) {
  const size_t room = l->room == 0 ? 8 : 2 * l->room;
  struct cpns_key* keys = realloc(l->keys, room * sizeof *keys); /* it has no key, but pointers to some */
  if (keys == NULL) return false;
  l->keys = keys;
  l->room = room;
  return true;
}

static const char* read_keys(struct json* j, struct line* l) {
  if (!json_array(j)) return no_json;
  bool first = true;
  int more = 0;
  l->count = 0;
  while ((more = json_element(j, &first)) > 0) {
    if (l->count == line_keys_max) return "the role sent too many keys of one device";
    if (l->count == l->room && !more_room(l)) return "no memory is left";
    struct cpns_key* k = &l->keys[l->count];
    if (!read_key(j, k)) return no_key;
    for (size_t i = 0; i < l->count; ++i)
      if (cpns_keys_compare_epochs(l->keys[i].epoch, k->epoch) == 0)
        return "the role sent two keys of one epoch";
    ++l->count;
  }
  return more == 0 ? NULL : no_json;
}

static enum line_event event_of(const char* name) {
  static const char* const names[] = {
      [LINE_OTHER] = "",          [LINE_BEGUN] = "begun",      [LINE_PUT] = "put",
      [LINE_GONE] = "gone",       [LINE_SYNCED] = "synced",    [LINE_RESYNC] = "resync",
      [LINE_RESUMED] = "resumed", [LINE_PROGRESS] = "progress"};
  for (unsigned i = LINE_BEGUN; i < sizeof names / sizeof names[0]; ++i)
    if (strcmp(name, names[i]) == 0) return (enum line_event)i;
  return LINE_OTHER;
}

/* The characters of an id, so that it can stand in a request without escapes. */
static bool is_id(const char* text) {
  return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == strlen(text);
}

static const char* line_member(struct json* j, const char* name, struct line* l) {
  const char* text = NULL;
  if (strcmp(name, "event") == 0) {
    if (!text_up_to(j, line_text_max, &text)) return no_json;
    l->event = event_of(text);
    return NULL;
  }
  if (strcmp(name, "keys") == 0) return read_keys(j, l);
  bool good = true;
  if (strcmp(name, "revision") == 0) {
    good = json_number(j, &l->revision);
  } else if (strcmp(name, "unreadable") == 0) {
    good = json_number(j, &l->unreadable);
  } else if (strcmp(name, "entity") == 0) {
    good = text_up_to(j, line_text_max, &l->entity);
  } else if (strcmp(name, "watch") == 0) {
    good = text_up_to(j, watch_max, &l->watch) && is_id(l->watch);
  } else if (strcmp(name, "run") == 0) {
    good = text_up_to(j, line_run_max, &l->run) && is_id(l->run);
  } else if (strcmp(name, "sessions_from") == 0) {
    good = text_up_to(j, line_text_max, &l->sessions_from) && is_epoch(l->sessions_from);
  } else if (strcmp(name, "reason") == 0) {
    good = text_up_to(j, (size_t)-1, &text);
    if (good) l->why = gone_of(text);
  } else {
    good = json_skip(j);
  }
  return good ? NULL : no_json;
}

static const char* judge(const struct line* l) {
  if ((l->event == LINE_PUT || l->event == LINE_GONE) && l->entity == NULL)
    return "a line of the role does not name its device";
  if (l->event == LINE_PUT && l->count == 0) return "a line of the role has no keys";
  if (l->event == LINE_BEGUN && l->watch == NULL) return "a line of the role does not name its watch";
  for (size_t i = 0; l->event == LINE_PUT && i < l->count; ++i)
    if (strcmp(l->keys[i].entity, l->entity) != 0) return "a line of the role has a key of another device";
  return NULL;
}

const char* line_read(struct line* l, char* text, size_t length) {
  *l = (struct line){.why = CPNS_GONE_UNKNOWN, .keys = l->keys, .room = l->room};
  struct json j;
  json_begin(&j, text, length);
  if (!json_object(&j)) return no_json;
  bool first = true;
  int more = 0;
  const char* name = NULL;
  while ((more = json_member(&j, &first, &name)) > 0) {
    const char* wrong = line_member(&j, name, l);
    if (wrong != NULL) return wrong;
  }
  return more == 0 && json_end(&j) ? judge(l) : no_json;
}

void line_free(struct line* l) {
  free(l->keys);
  *l = (struct line){0};
}

const char* problem_read(char* text, size_t length, const char** code) {
  struct json j;
  json_begin(&j, text, length);
  bool first = true;
  int more = 0;
  const char* name = NULL;
  const char* detail = NULL;
  *code = "";
  if (!json_object(&j)) return NULL;
  while ((more = json_member(&j, &first, &name)) > 0) {
    const bool good = strcmp(name, "detail") == 0 ? text_up_to(&j, (size_t)-1, &detail)
                      : strcmp(name, "code") == 0 ? text_up_to(&j, line_text_max, code)
                                                  : json_skip(&j);
    if (!good) return NULL;
  }
  return more == 0 ? detail : NULL;
}
