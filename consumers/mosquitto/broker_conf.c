#include "consumers/mosquitto/broker_conf.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct listener {
  bool psk;
  bool identity_as_username;
  char place[256]; /* FILE:LINE of its psk_hint */
};

struct reading {
  struct broker_conf* out;
  struct listener unnamed; /* what stands before the first `listener` of each file belongs to the same one */
  bool per_listener;
  char per_listener_place[256];
};

__attribute__((format(printf, 3, 4))) static void fail(struct reading* r, enum broker_conf_verdict verdict,
                                                       const char* format, ...) {
  if (r->out->verdict != BROKER_CONF_GOOD) {
    return; /* the first one is said */
  }
  r->out->verdict = verdict;
  va_list args;
  va_start(args, format);
  (void)vsnprintf(r->out->text, sizeof r->out->text, format, args);
  va_end(args);
}

static void judge(struct reading* r, const struct listener* l) {
  if (l->psk && !l->identity_as_username) {
    fail(r, BROKER_CONF_REFUSED,
         "%s: a listener with psk_hint needs 'use_identity_as_username true', or a resumed TLS ticket gets "
         "in without a key",
         l->place);
  }
}

/* As the broker does: the words true and 1. It refuses other words than these, false and 0 itself. */
static bool is_true(char** rest) {
  const char* word = strtok_r(NULL, " ", rest);
  return word != NULL && (strcmp(word, "true") == 0 || strcmp(word, "1") == 0);
}

static void read_file(struct reading* r, const char* path, bool included);

static bool ends_in_conf(const char* name) {
  const size_t length = strlen(name);
  return length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

/* The broker's order, in which a later setting wins: letters first, then their case. */
static int compare_names(const void* a, const void* b) {
  const char* s = *(char* const*)a;
  const char* t = *(char* const*)b;
  for (; *s != '\0' && *t != '\0'; ++s, ++t) {
    const int letters = toupper((unsigned char)*s) - toupper((unsigned char)*t);
    if (letters != 0) {
      return letters;
    }
    if (*s != *t) {
      return *s - *t;
    }
  }
  return *s - *t;
}

static bool add_name(char*** names, size_t* count, const char* name) {
  char** more = realloc(*names, (*count + 1) * sizeof **names);
  if (more == NULL) {
    return false;
  }
  *names = more;
  more[*count] = strdup(name);
  if (more[*count] == NULL) {
    return false;
  }
  ++*count;
  return true;
}

static void read_folder(struct reading* r, const char* place, const char* folder) {
  DIR* opened = opendir(folder);
  if (opened == NULL) {
    fail(r, BROKER_CONF_UNREADABLE, "%s: the folder of include_dir cannot be read: %s", place,
         strerror(errno));
    return;
  }
  char** names = NULL;
  size_t count = 0;
  const struct dirent* entry = NULL;
  while ((entry = readdir(opened)) != NULL) {
    if (ends_in_conf(entry->d_name) && !add_name(&names, &count, entry->d_name)) {
      fail(r, BROKER_CONF_UNREADABLE, "%s: out of memory", place);
    }
  }
  closedir(opened);
  if (count > 0) {
    qsort(names, count, sizeof *names, compare_names);
  }
  for (size_t i = 0; i < count; ++i) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, names[i]) >= (int)sizeof path) {
      fail(r, BROKER_CONF_UNREADABLE, "%s: the path of a file in include_dir is too long", place);
    } else {
      read_file(r, path, true);
    }
    free(names[i]);
  }
  free(names);
}

static void read_line(struct reading* r, char* line, const char* place, bool included, struct listener* own,
                      struct listener** at) {
  char* rest = NULL;
  const char* name = strtok_r(line, " ", &rest);
  if (name == NULL) {
    return;
  }
  if (strcmp(name, "listener") == 0) {
    if (*at == own) {
      judge(r, own);
    }
    memset(own, 0, sizeof *own);
    *at = own;
  } else if (strcmp(name, "psk_hint") == 0) {
    (*at)->psk = true;
    (void)snprintf((*at)->place, sizeof(*at)->place, "%s", place);
  } else if (strcmp(name, "use_identity_as_username") == 0) {
    (*at)->identity_as_username = is_true(&rest);
  } else if (strcmp(name, "psk_file") == 0) {
    fail(r, BROKER_CONF_REFUSED, "%s: remove 'psk_file': with it the broker asks no plugin for a key", place);
  } else if (strcmp(name, "per_listener_settings") == 0) {
    r->per_listener = is_true(&rest);
    (void)snprintf(r->per_listener_place, sizeof r->per_listener_place, "%s", place);
  } else if (strcmp(name, "acl_file") == 0) {
    r->out->acl_file = true;
  } else if (strcmp(name, "include_dir") == 0 && !included) {
    const char* folder = strtok_r(NULL, "", &rest);
    if (folder != NULL) {
      read_folder(r, place, folder);
    }
  }
}

static void read_file(struct reading* r, const char* path, bool included) {
  FILE* file = fopen(path, "re");
  if (file == NULL) {
    fail(r, BROKER_CONF_UNREADABLE, "%s: the plugin cannot read this file of the broker: %s", path,
         strerror(errno));
    return;
  }
  struct listener own = {0};
  struct listener* at = &r->unnamed;
  char* line = NULL;
  size_t room = 0;
  ssize_t length = 0;
  errno = 0;
  for (unsigned number = 1; (length = getline(&line, &room, file)) >= 0; ++number) {
    if (line[0] == '#' || line[0] == '\n' || line[0] == '\r') {
      continue;
    }
    while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r')) {
      line[--length] = '\0';
    }
    char place[256];
    (void)snprintf(place, sizeof place, "%.240s:%u", path, number);
    read_line(r, line, place, included, &own, &at);
  }
  if (ferror(file)) {
    fail(r, BROKER_CONF_UNREADABLE, "%s: the plugin cannot read this file of the broker: %s", path,
         strerror(errno));
  }
  judge(r, &own);
  free(line);
  (void)fclose(file);
}

void broker_conf_read(struct broker_conf* out, const char* cmdline, size_t length) {
  memset(out, 0, sizeof *out);
  struct reading r = {.out = out};
  bool named = false;
  bool next = false;
  const char* end = cmdline + length;
  for (const char* at = cmdline; at < end;) {
    const size_t size = strnlen(at, (size_t)(end - at));
    if (at + size == end) {
      break; /* no NUL: cut off */
    }
    if (next) {
      named = true;
      read_file(&r, at, false);
    }
    next = !next && (strcmp(at, "-c") == 0 || strcmp(at, "--config-file") == 0);
    at += size + 1;
  }
  if (!named) {
    fail(&r, BROKER_CONF_UNREADABLE, "the command line of the broker names no configuration file (-c)");
  }
  judge(&r, &r.unnamed);
  if (r.per_listener) {
    fail(
        &r, BROKER_CONF_REFUSED,
        "%s: set 'per_listener_settings false': with true a plugin serves one listener, and mosquitto 2.0.11 "
        "gives it no ticks, so no session can be ended",
        r.per_listener_place);
  }
}

void broker_conf_read_own(struct broker_conf* out) {
  static const char path[] = "/proc/self/cmdline";
  char cmdline[16384];
  FILE* file = fopen(path, "re");
  size_t length = 0;
  if (file != NULL) {
    length = fread(cmdline, 1, sizeof cmdline, file);
    (void)fclose(file);
  }
  broker_conf_read(out, cmdline, length);
}
