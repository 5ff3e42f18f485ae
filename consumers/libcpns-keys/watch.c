#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "handle.h"

enum {
  pause_min = 100,        /* ms */
  pause_max = 1000,       /* ms: a gateway that is back gives PNEs new keys at once */
  quiet_max = 45 * 1000,  /* ms: three heartbeats */
  line_max = 1024 * 1024, /* bytes of a line */
  refusal_max = 16 * 1024,
  piece = 16 * 1024,
  pieces_of_a_step = 16
};

void watch_begin(struct watch* w, int64_t now) {
  *w = (struct watch){.fd = -1, .next_try = now, .pause = pause_min};
}

void watch_end(struct watch* w) {
  close_socket(&w->fd);
  buffer_free(&w->buffer);
}

int64_t watch_deadline(const struct watch* w) { return w->fd < 0 ? w->next_try : w->quiet_until; }

static void drop(struct cpns_keys* k) {
  watch_end(&k->watch);
  k->watch.complete = k->watch.resumed = false;
  acks_follow(k, "");
}

/* Gives the connection up, for the reason in k->error. */
static void fail(struct cpns_keys* k, int64_t now) {
  struct watch* const w = &k->watch;
  drop(k);
  w->next_try = now + w->pause;
  w->pause = w->pause * 2 < pause_max ? w->pause * 2 : pause_max;
  if (strcmp(w->said, k->error) == 0) return;
  memcpy(w->said, k->error, sizeof w->said);
  if (k->table.events.lost != NULL) k->table.events.lost(k->table.user, w->said);
}

static void begin(struct cpns_keys* k, int64_t now) {
  struct watch* const w = &k->watch;
  const int fd = connect_to_role(k);
  if (fd < 0) {
    set_system_error(k, "cannot connect to", -fd);
    fail(k, now);
    return;
  }
  w->fd = fd;
  w->quiet_until = now + quiet_max;
  w->asks_acks = k->acks_mode != CPNS_KEYS_ACKS_NONE && !w->knows_no_acks;
  w->knows_no_acks = false; /* asked again the next time: the role may be a newer one by then */
  w->asks_since = w->run[0] != '\0';
  http_begin(&w->http);
  table_begin_round(&k->table);
  char since[64 + line_run_max] = "";
  if (w->asks_since) snprintf(since, sizeof since, "&since=%s.%" PRIu64, w->run, w->revision);
  char request[384];
  const int length = snprintf(
      request, sizeof request,
      "GET /v1/keys/%s?watch=true%s%s HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n",
      k->purpose, w->asks_acks ? "&acks=true" : "", since);
  if (send_whole(fd, request, (size_t)length)) return;
  set_error(k, "the role ended the connection at once");
  fail(k, now);
}

static void completed(struct cpns_keys* k) {
  struct watch* const w = &k->watch;
  if (!w->resumed) {
    table_sweep(&k->table);
    w->unreadable = k->line.unreadable;
  }
  w->resumed = false;
  snprintf(w->run, sizeof w->run, "%s", k->line.run == NULL ? "" : k->line.run);
  w->complete = k->was_complete = true;
  w->pause = pause_min;
  w->said[0] = k->error[0] = '\0';
  k->refused = 0;
  if (k->table.events.synced != NULL) k->table.events.synced(k->table.user, (size_t)w->unreadable);
}

/* NULL, or a sentence about the fault. */
static const char* take_line(struct cpns_keys* k, char* text, size_t length, int* result) {
  struct watch* const w = &k->watch;
  const struct line* const l = &k->line;
  const char* const wrong = line_read(&k->line, text, length);
  if (wrong != NULL) return wrong;
  const bool follows = l->event == LINE_BEGUN || l->event == LINE_RESUMED || l->event == LINE_OTHER;
  if (!follows && !w->complete && !w->resumed) w->run[0] = '\0'; /* a list, which may be cut */
  switch (l->event) {
  case LINE_BEGUN:
    if (w->asks_acks) acks_follow(k, l->watch);
    return NULL;
  case LINE_PUT:
    *result = table_put(&k->table, l);
    if (*result == -E2BIG) return "the role sent more keys than this library keeps";
    if (*result != 0) return "no memory is left for a key";
    break;
  case LINE_GONE: table_gone(&k->table, l->entity, l->why); break;
  case LINE_SYNCED: completed(k); break;
  case LINE_RESYNC:
    table_begin_round(&k->table);
    w->complete = w->resumed = false;
    w->run[0] = '\0';
    break;
  case LINE_RESUMED: w->resumed = w->asks_since && !w->complete; return NULL;
  case LINE_PROGRESS: break;
  default: return NULL;
  }
  if (w->complete || w->resumed) w->revision = l->revision;
  if (w->complete) acks_dispatched(k, l->revision, l->event == LINE_PROGRESS);
  return NULL;
}

/* The bytes of the body, as they come. They are in memory of the caller, which may be changed. */
static const char* take_body(struct cpns_keys* k, char* data, size_t size, int* result) {
  struct buffer* const b = &k->watch.buffer;
  static const char too_long[] = "the role sent a line that is too long";
  while (size > 0) {
    char* const end = memchr(data, '\n', size);
    const size_t length = end == NULL ? size : (size_t)(end - data);
    const char* wrong = NULL;
    if (end == NULL || b->size > 0) {
      *result = buffer_append(b, data, length, line_max);
      if (*result == -E2BIG) return too_long;
      if (*result != 0) return "no memory is left for a line";
    }
    if (end == NULL) return NULL;
    if (b->size > 0) {
      wrong = take_line(k, b->data, b->size, result);
      buffer_empty(b);
    } else if (length > 0) {
      wrong = take_line(k, data, length, result);
    }
    if (wrong != NULL) return wrong;
    data += length + 1;
    size -= length + 1;
  }
  return NULL;
}

/* The refusal is whole, as far as it will be. */
static void refused(struct cpns_keys* k, int64_t now) {
  struct watch* const w = &k->watch;
  const char* code = "";
  const char* detail = w->buffer.size == 0 ? NULL : problem_read(w->buffer.data, w->buffer.size, &code);
  w->run[0] = '\0';
  if (w->http.status == 400 && (w->asks_since || w->asks_acks)) {
    drop(k);
    w->knows_no_acks = !w->asks_since;
    w->next_try = now;
    return;
  }
  k->refused = w->http.status;
  set_error(k, "the role refuses (%u%s%s)%s%s", w->http.status, detail == NULL ? "" : " ",
            detail == NULL ? "" : code, detail == NULL ? "" : ": ", detail == NULL ? "" : detail);
  fail(k, now);
}

/* Returns false when the connection is over. */
static bool feed(struct cpns_keys* k, char* data, size_t size, int64_t now, int* result) {
  struct watch* const w = &k->watch;
  while (size > 0 && w->http.part != HTTP_DONE) {
    size_t used = 0;
    size_t length = 0;
    const char* body = NULL;
    const char* wrong = NULL;
    if (!http_feed(&w->http, data, size, &used, &body, &length))
      wrong = "the answer of the role is not HTTP";
    else if (length > 0 && w->http.status == 200)
      wrong = take_body(k, data + (body - data), length, result);
    else if (length > 0 && buffer_append(&w->buffer, body, length, refusal_max) != 0)
      w->http.part = HTTP_DONE; /* long enough for a sentence */
    if (wrong != NULL) {
      w->run[0] = '\0'; /* what it did not take must come again */
      set_error(k, "%s", wrong);
      fail(k, now);
      return false;
    }
    data += used;
    size -= used;
  }
  if (w->http.part != HTTP_DONE) return true;
  if (w->http.status == 200) {
    set_error(k, "the role ended the list of keys");
    fail(k, now);
  } else {
    refused(k, now);
  }
  return false;
}

static void ended(struct cpns_keys* k, ssize_t got, int error, int64_t now) {
  if (got == 0 && http_has_status(&k->watch.http) && k->watch.http.status != 200) {
    refused(k, now);
    return;
  }
  if (got == 0 || error == ECONNRESET) /* it was killed, perhaps before it had read the request */
    set_error(k, "the role ended the connection");
  else
    set_system_error(k, "cannot read from", error);
  fail(k, now);
}

static int read_pieces(struct cpns_keys* k, int64_t now) {
  struct watch* const w = &k->watch;
  char data[piece];
  int result = 0;
  for (int i = 0; i < pieces_of_a_step && w->fd >= 0; ++i) {
    const ssize_t got = recv(w->fd, data, sizeof data, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return result;
    if (got <= 0) {
      ended(k, got, errno, now);
      return result;
    }
    w->quiet_until = now + quiet_max;
    const bool goes_on = feed(k, data, (size_t)got, now, &result);
    explicit_bzero(data, (size_t)got);
    if (!goes_on) return result == -ENOMEM ? result : 0;
  }
  return result;
}

int watch_step(struct cpns_keys* k, int64_t now) {
  struct watch* const w = &k->watch;
  if (w->fd < 0 && now >= w->next_try) begin(k, now);
  if (w->fd < 0) return 0;
  const int result = read_pieces(k, now);
  if (w->fd >= 0 && now >= w->quiet_until) {
    set_error(k, "the role is silent");
    fail(k, now);
  }
  return result;
}
