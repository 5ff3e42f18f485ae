#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "handle.h"
#include "text.h"

/* The timer fires at `deadline`, or before: then the dispatch finds nothing to do and arms it again. */
static void arm(struct cpns_keys* k, int64_t deadline, int64_t now) {
  if (k->armed <= deadline && k->armed > now) return;
  struct itimerspec when = {0};
  if (deadline != NEVER) {
    if (deadline < 1) deadline = 1; /* 0 would disarm it */
    when.it_value.tv_sec = (time_t)(deadline / 1000);
    when.it_value.tv_nsec = (long)(deadline % 1000) * 1000000;
  }
  if (timerfd_settime(k->timer, TFD_TIMER_ABSTIME, &when, NULL) == 0) k->armed = deadline;
}

static int open_descriptors(struct cpns_keys* k) {
  k->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (k->epoll < 0) return -errno;
  k->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  struct epoll_event wanted = {.events = EPOLLIN};
  if (k->timer < 0 || epoll_ctl(k->epoll, EPOLL_CTL_ADD, k->timer, &wanted) != 0) return -errno;
  return 0;
}

int cpns_keys_open(cpns_keys** out, const char* socket, const char* purpose,
                   const struct cpns_keys_options* options) {
  *out = NULL;
  if (socket == NULL || purpose == NULL || !is_purpose(purpose)) return -EINVAL;
  struct cpns_keys* k = calloc(1, sizeof *k);
  if (k == NULL) return -ENOMEM;
  k->epoll = k->timer = -1;
  k->armed = NEVER;
  const int64_t now = now_ms();
  watch_begin(&k->watch, now);
  acks_begin(&k->acks);
  k->address.sun_family = AF_UNIX;
  const size_t length = strlen(socket);
  int error = length == 0 || length >= sizeof k->address.sun_path ? -EINVAL : 0;
  if (error == 0) {
    memcpy(k->address.sun_path, socket, length + 1);
    memcpy(k->purpose, purpose, strlen(purpose) + 1);
    if (options != NULL) k->acks_mode = options->acks;
    if (!table_begin(&k->table, options == NULL ? NULL : &options->events,
                     options == NULL ? NULL : options->user))
      error = -EIO;
  }
  if (error == 0) error = open_descriptors(k);
  if (error != 0) {
    cpns_keys_close(k);
    return error;
  }
  arm(k, now, now);
  *out = k;
  return 0;
}

int cpns_keys_fd(const cpns_keys* keys) { return keys->epoll; }

int cpns_keys_dispatch(cpns_keys* keys) {
  if (keys->in_dispatch) return -EBUSY;
  keys->in_dispatch = true;
  uint64_t fired = 0;
  if (read(keys->timer, &fired, sizeof fired) > 0) keys->armed = NEVER;
  const int64_t now = now_ms();
  const int result = watch_step(keys, now);
  if (keys->acks_mode == CPNS_KEYS_ACKS_AUTOMATIC) acks_want(&keys->acks);
  acks_step(keys, now);
  const int64_t watch = watch_deadline(&keys->watch);
  const int64_t acks = acks_deadline(&keys->acks);
  arm(keys, watch < acks ? watch : acks, now);
  keys->in_dispatch = false;
  return result;
}

bool cpns_keys_is_synced(const cpns_keys* keys) { return keys->was_complete; }

/* Milliseconds for poll; negative: no limit. */
static int left_of(int64_t until, int64_t now) {
  if (until == NEVER) return -1;
  return until <= now ? 0 : (int)(until - now);
}

int cpns_keys_wait_synced(cpns_keys* keys, int timeout_ms) {
  if (keys->in_dispatch) return -EBUSY;
  const int64_t begin = now_ms();
  const int64_t until = timeout_ms < 0 ? NEVER : begin + timeout_ms;
  if (!keys->was_complete && keys->watch.fd < 0) keys->watch.next_try = begin;
  keys->refused = 0;
  for (;;) {
    const int result = cpns_keys_dispatch(keys);
    if (keys->was_complete) return 0;
    if (result != 0) return result;
    if (keys->refused == 403) return -EACCES;
    if (keys->refused == 404) return -ENOENT;
    const int left = left_of(until, now_ms());
    if (left == 0) return -ETIMEDOUT;
    struct pollfd ready = {.fd = keys->epoll, .events = POLLIN};
    if (poll(&ready, 1, left) < 0 && errno != EINTR) return -errno;
  }
}

static int copy_out(const struct cpns_key* found, struct cpns_key* out) {
  if (found == NULL) return -ENOENT;
  *out = *found;
  return 0;
}

int cpns_keys_current(cpns_keys* keys, const char* entity, struct cpns_key* out) {
  return copy_out(table_current(&keys->table, entity), out);
}

int cpns_keys_by_identity(cpns_keys* keys, const char* identity, struct cpns_key* out) {
  return copy_out(table_by_identity(&keys->table, identity), out);
}

int cpns_keys_ack(cpns_keys* keys) {
  if (keys->acks_mode != CPNS_KEYS_ACKS_MANUAL) return -EINVAL;
  acks_want(&keys->acks);
  const int64_t deadline = acks_deadline(&keys->acks);
  if (!keys->in_dispatch && deadline < keys->armed) arm(keys, deadline, now_ms());
  return 0;
}

const char* cpns_keys_error(const cpns_keys* keys) { return keys->error; }

void cpns_keys_close(cpns_keys* keys) {
  if (keys == NULL) return;
  watch_end(&keys->watch);
  acks_end(&keys->acks);
  if (keys->timer >= 0) close(keys->timer);
  if (keys->epoll >= 0) close(keys->epoll);
  table_free(&keys->table);
  line_free(&keys->line);
  explicit_bzero(keys, sizeof *keys);
  free(keys);
}
