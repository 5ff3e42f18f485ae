#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "handle.h"

enum { pause_min = 100, pause_max = 1000, answer_max = 10 * 1000 }; /* ms */

void acks_begin(struct acks* a) { *a = (struct acks){.fd = -1, .pause = pause_min}; }

void acks_end(struct acks* a) { close_socket(&a->fd); }

void acks_follow(struct cpns_keys* k, const char* watch) {
  acks_end(&k->acks);
  acks_begin(&k->acks);
  snprintf(k->acks.watch, sizeof k->acks.watch, "%s", watch);
}

static bool has_work(const struct acks* a) {
  return a->watch[0] != '\0' && a->has_wanted && !(a->has_acked && a->acked == a->wanted);
}

void acks_want(struct acks* a) {
  a->wanted = a->dispatched;
  a->has_wanted = a->has_dispatched;
}

void acks_dispatched(struct cpns_keys* k, uint64_t revision, bool silent) {
  struct acks* const a = &k->acks;
  /* The program has nothing to do for a silent line, so it is in force if all before it is. */
  const bool follows = silent && a->has_wanted && a->wanted == a->dispatched;
  a->dispatched = revision;
  a->has_dispatched = true;
  if (follows) acks_want(a);
}

int64_t acks_deadline(const struct acks* a) {
  if (a->under_way) return a->answer_by;
  return has_work(a) ? a->next_try : NEVER;
}

static void pause_after_failure(struct acks* a, int64_t now) {
  acks_end(a);
  a->under_way = false;
  a->next_try = now + a->pause;
  a->pause = a->pause * 2 < pause_max ? a->pause * 2 : pause_max;
}

static void answered(struct cpns_keys* k, int64_t now) {
  struct acks* const a = &k->acks;
  a->under_way = a->fresh = false;
  if (a->http.closes) acks_end(a);
  if (a->http.status >= 500) {
    pause_after_failure(a, now);
    return;
  }
  a->pause = pause_min;
  a->acked = a->sent;
  a->has_acked = true;
  if (a->http.status == 404) a->watch[0] = '\0'; /* the watch is over, and its connection will say so */
  if (a->http.status >= 400) set_error(k, "the role refuses an acknowledgement (%u)", a->http.status);
}

/* The connection is over. If it had served before, the role closed it because it was idle. */
static void lost(struct acks* a, int64_t now) {
  const bool repeat = a->under_way && !a->fresh;
  if (a->under_way && !repeat) {
    pause_after_failure(a, now);
    return;
  }
  acks_end(a);
  a->under_way = false;
  if (repeat) a->next_try = now;
}

static void read_answer(struct cpns_keys* k, int64_t now) {
  struct acks* const a = &k->acks;
  char data[2048];
  const ssize_t got = recv(a->fd, data, sizeof data, 0);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    if (a->under_way && now >= a->answer_by) pause_after_failure(a, now);
    return;
  }
  if (got <= 0 || !a->under_way) { /* or an answer to nothing */
    lost(a, now);
    return;
  }
  size_t left = (size_t)got;
  const char* at = data;
  while (left > 0 && a->http.part != HTTP_DONE) {
    size_t used = 0;
    size_t length = 0;
    const char* body = NULL;
    if (!http_feed(&a->http, at, left, &used, &body, &length)) {
      pause_after_failure(a, now);
      return;
    }
    at += used;
    left -= used;
  }
  if (a->http.part == HTTP_DONE) answered(k, now);
}

static void send_ack(struct cpns_keys* k, int64_t now) {
  struct acks* const a = &k->acks;
  if (a->fd < 0) {
    a->fd = connect_to_role(k);
    a->fresh = true;
  }
  char body[128];
  char request[512];
  const int body_length =
      snprintf(body, sizeof body, "{\"watch\":\"%s\",\"revision\":%" PRIu64 "}", a->watch, a->wanted);
  const int length =
      snprintf(request, sizeof request,
               "POST /v1/keys/%s/acks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
               "Cpns-Request-Id: ack-%" PRIu64 "\r\nContent-Length: %d\r\n\r\n%s",
               k->purpose, a->wanted, body_length, body);
  a->sent = a->wanted;
  a->under_way = true;
  a->answer_by = now + answer_max;
  http_begin(&a->http);
  if (a->fd < 0 || !send_whole(a->fd, request, (size_t)length)) lost(a, now);
}

void acks_step(struct cpns_keys* k, int64_t now) {
  struct acks* const a = &k->acks;
  if (a->fd >= 0) read_answer(k, now);
  if (!a->under_way && has_work(a) && now >= a->next_try) send_ack(k, now);
}
