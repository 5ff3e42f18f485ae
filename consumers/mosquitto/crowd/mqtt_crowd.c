/* A crowd of MQTT clients on the PNEs, for tests and `cpns demo`: one watch of the key socket of the process of PNEs, and a client for
 * each device. Each connects to the broker with the newest key of its device, publishes its next number with QoS 1 to
 * pn/ENTITY/reading, disconnects, and does it again after a random pause, until SIGTERM:
 *
 *   mqtt_crowd --socket PATH --broker HOST:PORT [--purpose mqtt] [--least MS] [--most MS] [--latency MS]
 *              [--hub PATH] [--seed N] ENTITY...
 *
 * With --hub a subscriber on the hub gets the messages at that Unix socket of the broker, and they are compared.
 *
 * A client takes its key --latency before its connection is open, and hears what the broker says as much later, as over a
 * slow link: a handshake on one machine takes less time than a key needs to change.
 * A number is published again, in the next connection, until the broker has acknowledged it. Prints JSON lines: `refused`
 * for each connection that the broker refused (an alert of TLS, a CONNACK with a code), `broken` for each that ended for
 * another reason, `counts` four times a second, and at the end `device` for each device and `done`. A broker that nobody could
 * reach has refused nothing. Times are milliseconds of the monotonic clock. */

#include <cpns_keys.h>
#include <getopt.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "subscriber.h"

static const char ciphers[] = "ECDHE-PSK-CHACHA20-POLY1305";
enum { NAME = 256, BEGIN_AT_ONCE = 4, ALERTS = 1000 };
enum { LIMIT_MS = 10000, SYNCED_MS = 10000, REST_MS = 5000, TELL_MS = 250 };

enum phase { PAUSING, CONNECTING, ENTERING, PUBLISHING, LEAVING };

struct client {
  struct crowd* crowd;
  const char* entity;
  char newest[NAME]; /* identity of the key with which to begin */
  char newest_epoch[32];
  int64_t newest_since;

  struct mosquitto* link;
  enum phase phase;
  int64_t next_at;
  int64_t began_at;
  int64_t key_since;
  int64_t hears_at; /* that the connection is open, or what the broker has said; 0: nothing */
  char identity[NAME];
  char epoch[32];
  char state[16];
  bool connected, acknowledged;
  bool cut;    /* the connection is not open any more, or never was */
  int connack; /* a refusal, 0: none */
  int alert;   /* of TLS, -1: none */
  long number; /* the last one that was acknowledged */
};

struct crowd {
  const char* socket;
  const char* purpose;
  char host[NAME];
  int port;
  int least_ms, most_ms, latency_ms;
  unsigned draw;
  const char* hub; /* NULL: no subscriber */
  struct subscriber hub_side;
  cpns_keys* keys;
  struct client* clients;
  size_t size;
  long handshakes, published, refused, broken, late, unreachable, without_key;
  int64_t oldest_ms;     /* for how long a key had been the newest when a handshake with it was complete */
  char oldest_epoch[32]; /* of that key */
  int64_t longest_ms;    /* of a handshake, from the begin of the connection to its CONNACK */
};

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void keep(char* out, size_t size, const char* text) { (void)snprintf(out, size, "%s", text); }

static void on_put(void* user, const struct cpns_key* key) {
  struct crowd* all = user;
  for (size_t i = 0; key->use && i < all->size; ++i) {
    struct client* c = &all->clients[i];
    if (strcmp(c->entity, key->entity) == 0 && strcmp(c->newest, key->identity) != 0) {
      keep(c->newest, sizeof c->newest, key->identity);
      keep(c->newest_epoch, sizeof c->newest_epoch, key->epoch);
      c->newest_since = now_ms();
    }
  }
}

/* The messages that the broker has acknowledged and the subscriber does not have (yet). */
static long lost(const struct crowd* all) {
  long out = all->hub_side.missed;
  for (size_t i = 0; all->hub != NULL && i < all->size; ++i) {
    const long behind = all->clients[i].number - all->hub_side.last[i];
    out += behind > 0 ? behind : 0;
  }
  return out;
}

static void on_lost(void* user, const char* why) {
  (void)user;
  fprintf(stderr, "no connection to the key socket: %s\n", why);
}

static void on_connect(struct mosquitto* link, void* user, int result) {
  (void)link;
  struct client* c = user;
  c->connected = result == 0;
  c->connack = result;
}

static void on_publish(struct mosquitto* link, void* user, int number) {
  (void)link, (void)number;
  struct client* c = user;
  c->acknowledged = true;
}

/* libmosquitto tells no caller why TLS failed; it logs the error of OpenSSL, whose reason is 1000 and the alert. */
static void on_log(struct mosquitto* link, void* user, int level, const char* text) {
  (void)link;
  struct client* c = user;
  const char* error = level == MOSQ_LOG_ERR ? strstr(text, "error:") : NULL;
  if (error != NULL) {
    const unsigned long reason = strtoul(error + strlen("error:"), NULL, 16) & 0x7fffffU;
    if (reason >= ALERTS && reason < ALERTS + 256) {
      c->alert = (int)reason - ALERTS;
    }
  }
}

static const char* state_of(struct crowd* all, const char* identity) {
  struct cpns_key key;
  return cpns_keys_by_identity(all->keys, identity, &key) == 0 ? key.state : "gone";
}

static void tell(const struct client* c, const char* event, const char* why) {
  const int64_t now = now_ms();
  printf("{\"event\":\"%s\",\"at\":%" PRId64 ",\"why\":\"%s\",\"connected\":%s,\"alert\":%d,\"connack\":%d,"
         "\"entity\":\"%s\",\"identity\":\"%s\",\"began\":%" PRId64 ",\"newest_for\":%" PRId64
         ",\"state_then\":\"%s\",",
         event, now, why, c->connected ? "true" : "false", c->alert, c->connack, c->entity, c->identity,
         c->began_at, now - c->key_since, c->state);
  printf("\"state_now\":\"%s\",\"newest_now\":\"%s\"}\n", state_of(c->crowd, c->identity), c->newest);
}

static void tell_counts(const struct crowd* all, const char* event) {
  printf("{\"event\":\"%s\",\"at\":%" PRId64
         ",\"handshakes\":%ld,\"published\":%ld,\"refused\":%ld,\"broken\":%ld,"
         "\"late\":%ld,\"unreachable\":%ld,\"without_key\":%ld,\"oldest_key_ms\":%" PRId64
         ",\"oldest_key_epoch\":\"%s\",\"longest_handshake_ms\":%" PRId64 ",\"received\":%ld,\"lost\":%ld}\n",
         event, now_ms(), all->handshakes, all->published, all->refused, all->broken, all->late,
         all->unreachable, all->without_key, all->oldest_ms, all->oldest_epoch, all->longest_ms,
         all->hub_side.received, lost(all));
}

/* The newest key, as the broker shall see it. The copies are wiped. */
static int set_key(struct client* c) {
  struct cpns_key key;
  if (cpns_keys_current(c->crowd->keys, c->entity, &key) != 0) {
    return MOSQ_ERR_NOT_FOUND;
  }
  keep(c->identity, sizeof c->identity, key.identity);
  keep(c->epoch, sizeof c->epoch, key.epoch);
  keep(c->state, sizeof c->state, key.state);
  c->key_since = c->newest_since;
  char hex[2 * 64 + 1] = "";
  for (size_t i = 0; i < key.length && i < 64; ++i) {
    (void)snprintf(hex + 2 * i, 3, "%02x", key.bytes[i]);
  }
  const int failed = mosquitto_tls_psk_set(c->link, hex, key.identity, ciphers);
  explicit_bzero(hex, sizeof hex);
  return failed;
}

static void end(struct client* c) {
  mosquitto_destroy(c->link);
  c->link = NULL;
  c->phase = PAUSING;
  const int64_t now = now_ms();
  if (c->next_at < now) {
    c->next_at = now;
  }
}

/* A connection that did not do its work. */
static void fail(struct client* c, int failed) {
  struct crowd* all = c->crowd;
  if (failed == MOSQ_ERR_NOT_FOUND) {
    ++all->without_key;
  } else if (c->alert >= 0 || c->connack != 0) {
    ++all->refused;
    tell(c, "refused", mosquitto_strerror(failed));
  } else if (c->phase == CONNECTING || (failed == MOSQ_ERR_ERRNO && !c->connected)) {
    ++all->unreachable;
  } else if (failed == MOSQ_ERR_TIMEOUT) {
    ++all->late;
    tell(c, "late", "it took too long");
  } else {
    ++all->broken;
    tell(c, "broken", mosquitto_strerror(failed));
  }
  end(c);
}

static void begin(struct client* c) {
  struct crowd* all = c->crowd;
  c->began_at = now_ms();
  c->next_at = c->began_at + all->least_ms + rand_r(&all->draw) % (all->most_ms - all->least_ms + 1);
  c->connected = c->acknowledged = false;
  c->connack = 0;
  c->alert = -1;
  c->hears_at = c->began_at + all->latency_ms;
  c->link = mosquitto_new(NULL, true, c);
  if (c->link == NULL) {
    abort();
  }
  mosquitto_connect_callback_set(c->link, on_connect);
  mosquitto_publish_callback_set(c->link, on_publish);
  mosquitto_log_callback_set(c->link, on_log);
  int failed = set_key(c);
  if (failed == MOSQ_ERR_SUCCESS) {
    failed = mosquitto_tls_opts_set(c->link, 1, "tlsv1.2", ciphers);
  }
  c->phase = CONNECTING;
  if (failed != MOSQ_ERR_SUCCESS) {
    fail(c, failed);
  }
}

/* Not mosquitto_connect(): that waits for the whole handshake. */
static void connect_now(struct client* c) {
  c->hears_at = 0;
  const int failed = mosquitto_connect_async(c->link, c->crowd->host, c->crowd->port, 60);
  if (failed == MOSQ_ERR_SUCCESS && mosquitto_socket(c->link) >= 0) {
    c->phase = ENTERING;
  } else {
    fail(c, failed);
  }
}

static int publish(struct client* c) {
  struct crowd* all = c->crowd;
  const int64_t now = now_ms();
  ++all->handshakes;
  if (now - c->key_since > all->oldest_ms) {
    all->oldest_ms = now - c->key_since;
    keep(all->oldest_epoch, sizeof all->oldest_epoch, c->epoch);
  }
  if (now - c->began_at > all->longest_ms) {
    all->longest_ms = now - c->began_at;
  }
  char topic[NAME];
  char reading[32];
  (void)snprintf(topic, sizeof topic, "pn/%s/reading", c->entity);
  (void)snprintf(reading, sizeof reading, "%ld", c->number + 1);
  c->phase = PUBLISHING;
  return mosquitto_publish(c->link, NULL, topic, (int)strlen(reading), reading, 1, false);
}

static int leave(struct client* c) {
  ++c->number;
  ++c->crowd->published;
  c->phase = LEAVING;
  return mosquitto_disconnect(c->link);
}

/* What is due on an open connection. */
static void work(struct client* c, short ready) {
  if (c->phase == CONNECTING) {
    if (c->hears_at <= now_ms()) {
      connect_now(c);
    }
    return;
  }
  int failed = MOSQ_ERR_SUCCESS;
  if ((ready & (POLLIN | POLLERR | POLLHUP)) != 0 && c->hears_at == 0) {
    c->hears_at = now_ms() + c->crowd->latency_ms;
    c->cut = (ready & (POLLERR | POLLHUP)) != 0;
  }
  if (c->hears_at != 0 && c->hears_at <= now_ms()) {
    c->hears_at = 0;
    failed = mosquitto_loop_read(c->link, 1);
    if (failed == MOSQ_ERR_SUCCESS && c->cut && !c->connected) {
      failed = MOSQ_ERR_ERRNO; /* libmosquitto goes on for ever with a handshake that nobody answers */
    }
  }
  if (failed == MOSQ_ERR_SUCCESS && mosquitto_want_write(c->link)) {
    failed = mosquitto_loop_write(c->link, 1);
  }
  if (failed == MOSQ_ERR_SUCCESS && c->phase == ENTERING && c->connected) {
    failed = publish(c);
  }
  if (c->phase == PUBLISHING && c->acknowledged) {
    failed = leave(c);
  }
  if (c->phase == LEAVING && (failed != MOSQ_ERR_SUCCESS || !mosquitto_want_write(c->link))) {
    end(c); /* its work is done, whatever the broker does now */
  } else if (failed != MOSQ_ERR_SUCCESS || c->connack != 0) {
    fail(c, failed);
  } else if (now_ms() - c->began_at > LIMIT_MS) {
    fail(c, MOSQ_ERR_TIMEOUT);
  }
}

static void begin_due(struct crowd* all) {
  const int64_t now = now_ms();
  int begun = 0; /* a connection costs a millisecond, in which the others and the keys would wait */
  for (size_t i = 0; i < all->size && begun < BEGIN_AT_ONCE; ++i) {
    if (all->clients[i].phase == PAUSING && all->clients[i].next_at <= now) {
      begin(&all->clients[i]);
      ++begun;
    }
  }
}

/* What the subscriber got. Without it the messages cannot be compared, so its end is that of the program. */
static void hear(struct crowd* all, short ready) {
  const int failed = subscriber_work(&all->hub_side, ready);
  if (failed != MOSQ_ERR_SUCCESS) {
    fprintf(stderr, "the connection of the subscriber ended: %s\n", mosquitto_strerror(failed));
    exit(1);
  }
}

/* False: no connection is open. */
static bool wait_and_work(struct crowd* all, struct pollfd* waiting) {
  int64_t next = now_ms() + 100;
  bool open = false;
  waiting[all->size] = (struct pollfd){.fd = cpns_keys_fd(all->keys), .events = POLLIN};
  waiting[all->size + 1] =
      (struct pollfd){.fd = subscriber_fd(&all->hub_side), .events = subscriber_events(&all->hub_side)};
  for (size_t i = 0; i < all->size; ++i) {
    const struct client* c = &all->clients[i];
    waiting[i] = (struct pollfd){.fd = -1};
    if (c->link != NULL) {
      open = true;
      waiting[i].fd = c->hears_at == 0 ? mosquitto_socket(c->link) : -1;
      waiting[i].events = mosquitto_want_write(c->link) ? POLLIN | POLLOUT : POLLIN;
      next = c->hears_at != 0 && c->hears_at < next ? c->hears_at : next;
    } else if (c->next_at < next && stopped == 0) {
      next = c->next_at;
    }
  }
  const int64_t left = next - now_ms();
  (void)poll(waiting, (nfds_t)all->size + 2, left > 0 ? (int)left : 0);
  if (cpns_keys_dispatch(all->keys) != 0) {
    fprintf(stderr, "keys: %s\n", cpns_keys_error(all->keys));
  }
  hear(all, waiting[all->size + 1].revents);
  for (size_t i = 0; i < all->size; ++i) {
    if (all->clients[i].link != NULL) {
      work(&all->clients[i], waiting[i].revents);
    }
  }
  return open;
}

/* The broker may be behind with the last messages. */
static void hear_the_rest(struct crowd* all) {
  for (const int64_t until = now_ms() + REST_MS; lost(all) > all->hub_side.missed && now_ms() < until;) {
    struct pollfd waiting = {.fd = subscriber_fd(&all->hub_side),
                             .events = subscriber_events(&all->hub_side)};
    (void)poll(&waiting, 1, 100);
    hear(all, waiting.revents);
  }
}

static void run(struct crowd* all) {
  struct pollfd* waiting = calloc(all->size + 2, sizeof *waiting);
  if (waiting == NULL) {
    abort();
  }
  int64_t told = now_ms();
  bool open = true;
  while (stopped == 0 || open) {
    if (stopped == 0) {
      begin_due(all);
    }
    open = wait_and_work(all, waiting);
    if (now_ms() - told >= 250) {
      told = now_ms();
      tell_counts(all, "counts");
    }
  }
  free(waiting);
  hear_the_rest(all);
}

static bool read_options(struct crowd* all, int argc, char** argv) {
  static const struct option known[] = {
      {"socket", 1, NULL, 's'}, {"broker", 1, NULL, 'b'}, {"purpose", 1, NULL, 'p'},
      {"least", 1, NULL, 'l'},  {"most", 1, NULL, 'm'},   {"latency", 1, NULL, 'w'},
      {"seed", 1, NULL, 'd'},   {"hub", 1, NULL, 'h'},    {NULL, 0, NULL, 0}};
  *all = (struct crowd){.purpose = "mqtt", .least_ms = 100, .most_ms = 300, .draw = 1};
  for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (option) {
    case 's': all->socket = optarg; break;
    case 'b': {
      const char* colon = strrchr(optarg, ':');
      if (colon == NULL || (size_t)(colon - optarg) >= sizeof all->host) {
        return false;
      }
      memcpy(all->host, optarg, (size_t)(colon - optarg));
      all->port = atoi(colon + 1);
      break;
    }
    case 'p': all->purpose = optarg; break;
    case 'l': all->least_ms = atoi(optarg); break;
    case 'm': all->most_ms = atoi(optarg); break;
    case 'w': all->latency_ms = atoi(optarg); break;
    case 'h': all->hub = optarg; break;
    case 'd': all->draw = (unsigned)strtoul(optarg, NULL, 10); break;
    default: return false;
    }
  }
  all->size = (size_t)(argc - optind);
  return all->socket != NULL && all->port > 0 && all->least_ms > 0 && all->most_ms >= all->least_ms &&
         all->size > 0;
}

static bool open_keys(struct crowd* all) {
  const struct cpns_keys_options options = {.events = {.put = on_put, .lost = on_lost}, .user = all};
  int failed = cpns_keys_open(&all->keys, all->socket, all->purpose, &options);
  if (failed == 0) {
    failed = cpns_keys_wait_synced(all->keys, SYNCED_MS);
  }
  if (failed != 0) {
    fprintf(stderr, "no keys: %s\n", all->keys == NULL ? strerror(-failed) : cpns_keys_error(all->keys));
  }
  return failed == 0;
}

static bool open_hub(struct crowd* all, char** entities) {
  const int failed =
      all->hub == NULL ? MOSQ_ERR_SUCCESS : subscriber_open(&all->hub_side, all->hub, entities, all->size);
  if (failed != MOSQ_ERR_SUCCESS) {
    fprintf(stderr, "no subscriber at %s: %s\n", all->hub, mosquitto_strerror(failed));
  }
  return failed == MOSQ_ERR_SUCCESS;
}

int main(int argc, char** argv) {
  struct crowd all;
  if (!read_options(&all, argc, argv)) {
    fprintf(stderr,
            "usage: mqtt_crowd --socket PATH --broker HOST:PORT [--purpose mqtt] [--least MS] [--most MS] "
            "[--latency MS] [--hub PATH] [--seed N] ENTITY...\n");
    return 2;
  }
  all.clients = calloc(all.size, sizeof *all.clients);
  if (all.clients == NULL) {
    return 1;
  }
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  signal(SIGPIPE, SIG_IGN);
  setvbuf(stdout, NULL, _IOLBF, 0);
  mosquitto_lib_init();
  const int64_t now = now_ms();
  for (size_t i = 0; i < all.size; ++i) {
    all.clients[i] = (struct client){.crowd = &all,
                                     .entity = argv[(size_t)optind + i],
                                     .newest_since = now,
                                     .next_at = now + rand_r(&all.draw) % all.most_ms};
  }
  const bool good = open_hub(&all, argv + optind) && open_keys(&all);
  if (good) {
    run(&all);
    for (size_t i = 0; i < all.size; ++i) {
      printf("{\"event\":\"device\",\"entity\":\"%s\",\"acknowledged\":%ld}\n", all.clients[i].entity,
             all.clients[i].number);
    }
    tell_counts(&all, "done");
  }
  cpns_keys_close(all.keys);
  subscriber_close(&all.hub_side);
  free(all.clients);
  mosquitto_lib_cleanup();
  return good ? 0 : 1;
}
