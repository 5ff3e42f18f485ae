#include "consumers/mosquitto/feed.h"

#include <cpns_keys.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_LINES = 256, PAUSE_MS = 1000 };

struct item {
  struct item* next;
  char* text; /* a line, or an Entity ID */
  char* below;
  bool warning;
  uint64_t number; /* of a demand */
};

struct queue {
  struct item* first;
  struct item** last;
  size_t size;
};

struct feed {
  struct key_table* table;
  char* socket;
  char* purpose;
  cpns_keys* keys; /* the thread's, after the start */
  int stop;        /* an eventfd */
  pthread_t thread;
  atomic_uint changes;
  _Atomic uint64_t demands; /* changes with the lock held */
  bool put_failed; /* the thread's: the table lacks a key, so nothing is acknowledged and all is read again */
  bool read_again; /* the handle is a new one, and not synced yet */

  pthread_mutex_t lock; /* of the rest */
  pthread_cond_t changed;
  bool synced;
  uint64_t end_all; /* the number of the demand to end the sessions of all devices; 0: there is none */
  struct queue ended;
  struct queue lines;
};

/* Takes both texts of `item`. False: no memory; they are freed. */
static bool push(struct feed* f, struct queue* q, struct item item) {
  struct item* i = malloc(sizeof *i);
  if (i == NULL) {
    free(item.text);
    free(item.below);
    return false;
  }
  *i = item;
  if (q->first == NULL) {
    q->last = &q->first;
  }
  *q->last = i;
  q->last = &i->next;
  ++q->size;
  atomic_fetch_add(&f->changes, 1);
  return true;
}

static struct item* pop(struct queue* q) {
  struct item* i = q->first;
  if (i != NULL) {
    q->first = i->next;
    --q->size;
  }
  return i;
}

static void clear(struct queue* q) {
  for (struct item* i = pop(q); i != NULL; i = pop(q)) {
    free(i->text);
    free(i->below);
    free(i);
  }
}

__attribute__((format(printf, 3, 4))) static void say(struct feed* f, bool warning, const char* format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  (void)vsnprintf(text, sizeof text, format, args);
  va_end(args);
  for (char* c = text; *c != '\0'; ++c) {
    if ((unsigned char)*c < ' ' || *c == 0x7f) {
      *c = '?'; /* what the role says must not be a command for a terminal */
    }
  }
  pthread_mutex_lock(&f->lock);
  char* copy = f->lines.size < MAX_LINES ? strdup(text) : NULL;
  if (copy != NULL) {
    (void)push(f, &f->lines, (struct item){.text = copy, .warning = warning});
  }
  pthread_mutex_unlock(&f->lock);
}

/* A name is a level of topics (pattern readwrite pn/%u/#). The role has no other names than such; with these a device would
 * have the topics of another one. */
static bool is_topic_level(const char* entity) {
  for (const char* c = entity; *c != '\0'; ++c) {
    if (*c <= ' ' || *c > '~' || strchr("+#/", *c) != NULL) {
      return false;
    }
  }
  return true;
}

static void on_put(void* user, const struct cpns_key* key) {
  struct feed* f = user;
  const int failed = !is_topic_level(key->entity) ? -EINVAL
                                                  : key_table_put(f->table, key->identity, key->entity,
                                                                  key->epoch, key->bytes, key->length);
  if (failed == -ENOMEM) {
    f->put_failed = true;
  } else if (failed != 0) {
    say(f, true, "a key of %.100s cannot be used: its length, or a name", key->entity);
  }
}

static void on_gone(void* user, const char* entity, const char* epoch, const char* identity,
                    enum cpns_gone why) {
  (void)entity, (void)epoch, (void)why;
  struct feed* f = user;
  key_table_remove(f->table, identity);
}

/* With the lock held. */
static void demand_all(struct feed* f) {
  clear(&f->ended); /* it covers these */
  f->end_all = atomic_fetch_add(&f->demands, 1) + 1;
  atomic_fetch_add(&f->changes, 1);
}

static void on_end_sessions(void* user, const char* entity, const char* below, enum cpns_gone why) {
  (void)why;
  struct feed* f = user;
  char* name = strdup(entity);
  char* epoch = below == NULL ? NULL : strdup(below);
  pthread_mutex_lock(&f->lock);
  bool kept = name != NULL && (below == NULL || epoch != NULL) && f->ended.size < FEED_MAX_DEMANDS;
  if (kept) {
    const uint64_t number = atomic_fetch_add(&f->demands, 1) + 1;
    kept = push(f, &f->ended, (struct item){.text = name, .below = epoch, .number = number});
  } else {
    free(name);
    free(epoch);
  }
  if (!kept) {
    demand_all(f);
  }
  pthread_mutex_unlock(&f->lock);
}

static void on_synced(void* user, size_t unreadable) {
  struct feed* f = user;
  if (f->read_again) {
    /* Between the two handles keys and sessions can have ended, and nobody said so. */
    f->read_again = false;
    key_table_sweep(f->table);
    pthread_mutex_lock(&f->lock);
    demand_all(f);
    pthread_mutex_unlock(&f->lock);
  }
  say(f, unreadable > 0, "%zu keys of '%s' (%zu devices are left out, because their records cannot be read)",
      key_table_size(f->table), f->purpose, unreadable);
  pthread_mutex_lock(&f->lock);
  f->synced = true;
  pthread_cond_broadcast(&f->changed);
  pthread_mutex_unlock(&f->lock);
}

static void on_lost(void* user, const char* why) {
  struct feed* f = user;
  say(f, true, "no connection to %.108s: %.300s; %zu known keys stay in use", f->socket, why,
      key_table_size(f->table));
}

static int open_keys(struct feed* f) {
  const struct cpns_keys_options options = {.events = {.put = on_put,
                                                       .gone = on_gone,
                                                       .end_sessions = on_end_sessions,
                                                       .synced = on_synced,
                                                       .lost = on_lost},
                                            .user = f,
                                            .acks = CPNS_KEYS_ACKS_MANUAL};
  return cpns_keys_open(&f->keys, f->socket, f->purpose, &options);
}

/* False: the feed stops. */
static bool wait_for(struct feed* f, int fd, int timeout_ms) {
  struct pollfd waiting[2] = {{.fd = f->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  (void)poll(waiting, 2, timeout_ms);
  return (waiting[0].revents & POLLIN) == 0;
}

static void* run(void* argument) {
  struct feed* f = argument;
  while (wait_for(f, f->keys == NULL ? -1 : cpns_keys_fd(f->keys), f->keys == NULL ? PAUSE_MS : -1)) {
    if (f->keys == NULL && open_keys(f) != 0) {
      continue;
    }
    (void)cpns_keys_dispatch(f->keys);
    if (f->put_failed) {
      f->put_failed = false;
      cpns_keys_close(f->keys);
      f->keys = NULL;
      f->read_again = true;
      key_table_begin(f->table);
      say(f, true, "not enough memory for a key: all keys are read again, then all sessions end");
    } else {
      (void)cpns_keys_ack(f->keys);
    }
  }
  return NULL;
}

static int start_thread(struct feed* f) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the broker's */
  const int failed = pthread_create(&f->thread, NULL, run, f);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return -failed;
}

static void free_feed(struct feed* f) {
  cpns_keys_close(f->keys);
  if (f->stop >= 0) {
    close(f->stop);
  }
  clear(&f->ended);
  clear(&f->lines);
  pthread_cond_destroy(&f->changed);
  pthread_mutex_destroy(&f->lock);
  free(f->socket);
  free(f->purpose);
  free(f);
}

int feed_start(struct feed** out, struct key_table* table, const char* socket, const char* purpose) {
  *out = NULL;
  struct feed* f = calloc(1, sizeof *f);
  if (f == NULL) {
    return -ENOMEM;
  }
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&f->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&f->lock, NULL);
  f->table = table;
  f->socket = strdup(socket);
  f->purpose = strdup(purpose);
  f->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int failed = f->socket == NULL || f->purpose == NULL ? -ENOMEM : f->stop < 0 ? -errno : open_keys(f);
  if (failed == 0) {
    failed = start_thread(f);
  }
  if (failed != 0) {
    free_feed(f);
    return failed;
  }
  *out = f;
  return 0;
}

bool feed_wait_synced(struct feed* f, int timeout_ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  const long nanoseconds = until.tv_nsec + (long)(timeout_ms % 1000) * 1000000L;
  until.tv_sec += timeout_ms / 1000 + nanoseconds / 1000000000L;
  until.tv_nsec = nanoseconds % 1000000000L;
  pthread_mutex_lock(&f->lock);
  while (!f->synced && pthread_cond_timedwait(&f->changed, &f->lock, &until) == 0) {
  }
  const bool synced = f->synced;
  pthread_mutex_unlock(&f->lock);
  return synced;
}

unsigned feed_changes(const struct feed* f) { return atomic_load(&f->changes); }

uint64_t feed_newest_demand(const struct feed* f) { return atomic_load(&f->demands); }

bool feed_take_demand(struct feed* f, struct feed_demand* out) {
  pthread_mutex_lock(&f->lock);
  const uint64_t all = f->end_all;
  f->end_all = 0;
  struct item* i = all != 0 ? NULL : pop(&f->ended);
  pthread_mutex_unlock(&f->lock);
  *out = i == NULL ? (struct feed_demand){.number = all}
                   : (struct feed_demand){.number = i->number, .entity = i->text, .below = i->below};
  free(i);
  return out->number != 0;
}

bool feed_take_line(struct feed* f, char** text, bool* warning) {
  pthread_mutex_lock(&f->lock);
  struct item* i = pop(&f->lines);
  pthread_mutex_unlock(&f->lock);
  if (i == NULL) {
    return false;
  }
  *text = i->text;
  *warning = i->warning;
  free(i);
  return true;
}

void feed_stop(struct feed* f) {
  if (f == NULL) {
    return;
  }
  (void)eventfd_write(f->stop, 1);
  pthread_join(f->thread, NULL);
  free_feed(f);
}
