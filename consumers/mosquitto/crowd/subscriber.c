#include "subscriber.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OPEN_MS = 5000, KEEP_ALIVE = 60, NAME = 256, DIGITS = 20 };
static const char topics[] = "pn/+/reading";
static const char before[] = "pn/", after[] = "/reading";

static void on_connect(struct mosquitto* link, void* user, int result) {
  struct subscriber* s = user;
  s->refusal = result;
  if (result == 0) {
    (void)mosquitto_subscribe(link, NULL, topics, 1);
  }
}

static void on_subscribe(struct mosquitto* link, void* user, int number, int count, const int* granted) {
  (void)link, (void)number;
  struct subscriber* s = user;
  s->subscribed = count == 1 && granted[0] == 1;
  s->refusal = s->subscribed ? 0 : MOSQ_ERR_ACL_DENIED;
}

static void count(struct subscriber* s, const char* entity, long number) {
  for (size_t i = 0; i < s->size; ++i) {
    if (strcmp(s->entities[i], entity) == 0 && number > s->last[i]) {
      ++s->received;
      s->missed += number - s->last[i] - 1;
      s->last[i] = number;
    }
  }
}

static void on_message(struct mosquitto* link, void* user, const struct mosquitto_message* said) {
  (void)link;
  struct subscriber* s = user;
  const size_t all = strlen(said->topic), around = strlen(before) + strlen(after);
  char entity[NAME];
  char digits[DIGITS + 1] = "";
  if (all <= around || all - around >= sizeof entity || said->payloadlen <= 0 || said->payloadlen > DIGITS) {
    return;
  }
  memcpy(entity, said->topic + strlen(before), all - around);
  entity[all - around] = '\0';
  memcpy(digits, said->payload, (size_t)said->payloadlen);
  count(s, entity, strtol(digits, NULL, 10));
}

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int subscriber_open(struct subscriber* s, const char* path, char* const* entities, size_t size) {
  *s = (struct subscriber){.entities = entities, .size = size, .last = calloc(size, sizeof *s->last)};
  s->link = mosquitto_new(NULL, true, s);
  if (s->link == NULL || s->last == NULL) {
    return MOSQ_ERR_NOMEM;
  }
  mosquitto_connect_callback_set(s->link, on_connect);
  mosquitto_subscribe_callback_set(s->link, on_subscribe);
  mosquitto_message_callback_set(s->link, on_message);
  int failed = mosquitto_connect(s->link, path, 0, KEEP_ALIVE); /* port 0: a Unix socket */
  const long long until = now_ms() + OPEN_MS;
  while (failed == MOSQ_ERR_SUCCESS && !s->subscribed) {
    const long long left = until - now_ms();
    if (left <= 0) {
      return MOSQ_ERR_TIMEOUT;
    }
    struct pollfd waiting = {.fd = subscriber_fd(s), .events = subscriber_events(s)};
    (void)poll(&waiting, 1, (int)left);
    failed = subscriber_work(s, waiting.revents);
    if (failed == MOSQ_ERR_SUCCESS && s->refusal != 0) {
      return MOSQ_ERR_CONN_REFUSED;
    }
  }
  return failed;
}

int subscriber_fd(const struct subscriber* s) { return s->link == NULL ? -1 : mosquitto_socket(s->link); }

short subscriber_events(const struct subscriber* s) {
  return s->link != NULL && mosquitto_want_write(s->link) ? POLLIN | POLLOUT : POLLIN;
}

int subscriber_work(struct subscriber* s, short ready) {
  int failed = MOSQ_ERR_SUCCESS;
  if (s->link == NULL) {
    return failed;
  }
  if ((ready & (POLLIN | POLLERR | POLLHUP)) != 0) {
    failed = mosquitto_loop_read(s->link, 1);
  }
  if (failed == MOSQ_ERR_SUCCESS && mosquitto_want_write(s->link)) {
    failed = mosquitto_loop_write(s->link, 1);
  }
  return failed == MOSQ_ERR_SUCCESS ? mosquitto_loop_misc(s->link) : failed;
}

void subscriber_close(struct subscriber* s) {
  if (s->link != NULL) {
    (void)mosquitto_disconnect(s->link);
    mosquitto_destroy(s->link);
    s->link = NULL;
  }
  free(s->last);
  s->last = NULL;
}
