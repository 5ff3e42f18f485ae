/* An MQTT sensor on the PNE. It takes its key from the key socket of the process of PNEs, connects to the broker of the
 * hub with TLS-PSK, and publishes readings with QoS 1:
 *
 *   mqtt_sensor --socket PATH --entity ID --broker HOST:PORT
 *               [--purpose mqtt] [--every MS] [--count N] [--client-id ID] [--stay]
 *
 * Without --stay it connects for each reading, as a sensor does that sleeps in between. At the end it prints how many
 * readings were acknowledged and how many connections were made, refused by the broker, and not possible at all.
 *
 * It follows its key instead of reading it once, so it has the newest one whenever it connects. libmosquitto resumes no TLS
 * session, so each connection needs a key that is valid now. */

#include <cpns_keys.h>
#include <errno.h>
#include <getopt.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char ciphers[] = "ECDHE-PSK-CHACHA20-POLY1305";
enum { LIMIT_MS = 5000 }; /* for one connection with its reading */

struct sensor {
  const char* socket;
  const char* entity;
  const char* purpose;
  const char* client_id;
  char host[256];
  int port;
  int every_ms;
  long count;
  bool stay;

  cpns_keys* keys;
  struct mosquitto* link;
  bool connected;
  bool acknowledged;
  bool ended;
  int refusal; /* of the broker, 0: none */
  long published, connections, refused, failed;
};

static volatile sig_atomic_t stopped;

static void stop(int number) {
  (void)number;
  stopped = 1;
}

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void on_connect(struct mosquitto* link, void* user, int result) {
  (void)link;
  struct sensor* s = user;
  s->connected = result == 0;
  s->refusal = result;
}

static void on_disconnect(struct mosquitto* link, void* user, int result) {
  (void)link, (void)result;
  struct sensor* s = user;
  s->connected = false;
  s->ended = true;
}

static void on_publish(struct mosquitto* link, void* user, int number) {
  (void)link, (void)number;
  struct sensor* s = user;
  s->acknowledged = true;
}

/* Works for both sockets until `done` (which may be NULL) is true or the time is over. Returns an error of libmosquitto. */
static int work(struct sensor* s, const bool* done, long long until) {
  while (stopped == 0 && (done == NULL || !*done)) {
    const long long left = until - now_ms();
    if (left <= 0) {
      return done == NULL ? MOSQ_ERR_SUCCESS : MOSQ_ERR_TIMEOUT;
    }
    struct pollfd waiting[2] = {{.fd = cpns_keys_fd(s->keys), .events = POLLIN}, {.fd = -1}};
    if (s->link != NULL) {
      waiting[1].fd = mosquitto_socket(s->link);
      waiting[1].events = mosquitto_want_write(s->link) ? POLLIN | POLLOUT : POLLIN;
    }
    (void)poll(waiting, 2, left < 1000 ? (int)left : 1000);
    (void)cpns_keys_dispatch(s->keys);
    if (s->link == NULL) {
      continue;
    }
    int failed = MOSQ_ERR_SUCCESS;
    if ((waiting[1].revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
      failed = mosquitto_loop_read(s->link, 1);
    }
    if (failed == MOSQ_ERR_SUCCESS && mosquitto_want_write(s->link)) {
      failed = mosquitto_loop_write(s->link, 1);
    }
    if (failed == MOSQ_ERR_SUCCESS) {
      failed = mosquitto_loop_misc(s->link);
    }
    if (failed != MOSQ_ERR_SUCCESS || s->ended) {
      return failed != MOSQ_ERR_SUCCESS ? failed : MOSQ_ERR_CONN_LOST;
    }
  }
  return stopped != 0 ? MOSQ_ERR_CONN_LOST : MOSQ_ERR_SUCCESS;
}

static void leave(struct sensor* s) {
  if (s->link != NULL) {
    (void)mosquitto_disconnect(s->link);
    mosquitto_destroy(s->link);
    s->link = NULL;
  }
  s->connected = false;
}

/* The newest key, as the broker shall see it. The copies are wiped. */
static int set_key(struct sensor* s) {
  struct cpns_key key;
  if (cpns_keys_current(s->keys, s->entity, &key) != 0) {
    return MOSQ_ERR_NOT_FOUND;
  }
  char hex[2 * 64 + 1] = "";
  for (size_t i = 0; i < key.length && i < 64; ++i) {
    (void)snprintf(hex + 2 * i, 3, "%02x", key.bytes[i]);
  }
  const int failed = mosquitto_tls_psk_set(s->link, hex, key.identity, ciphers);
  explicit_bzero(hex, sizeof hex);
  return failed;
}

static int enter(struct sensor* s) {
  s->ended = false;
  s->refusal = 0;
  s->link = mosquitto_new(s->client_id, true, s);
  if (s->link == NULL) {
    return MOSQ_ERR_NOMEM;
  }
  mosquitto_connect_callback_set(s->link, on_connect);
  mosquitto_disconnect_callback_set(s->link, on_disconnect);
  mosquitto_publish_callback_set(s->link, on_publish);
  int failed = set_key(s);
  if (failed == MOSQ_ERR_SUCCESS) {
    failed = mosquitto_tls_opts_set(s->link, 1, "tlsv1.2", ciphers);
  }
  if (failed == MOSQ_ERR_SUCCESS) {
    failed = mosquitto_connect(s->link, s->host, s->port, 60);
  }
  if (failed == MOSQ_ERR_SUCCESS) {
    failed = work(s, &s->connected, now_ms() + LIMIT_MS);
  }
  return s->refusal != 0 ? MOSQ_ERR_CONN_REFUSED : failed;
}

static int publish(struct sensor* s) {
  char topic[128];
  char reading[64];
  (void)snprintf(topic, sizeof topic, "pn/%s/reading", s->entity);
  (void)snprintf(reading, sizeof reading, "%ld", s->published + 1);
  s->acknowledged = false;
  const int failed = mosquitto_publish(s->link, NULL, topic, (int)strlen(reading), reading, 1, false);
  return failed != MOSQ_ERR_SUCCESS ? failed : work(s, &s->acknowledged, now_ms() + LIMIT_MS);
}

static void read_once(struct sensor* s) {
  int failed = MOSQ_ERR_SUCCESS;
  bool entered = s->link != NULL;
  if (!entered) {
    failed = enter(s);
    entered = failed == MOSQ_ERR_SUCCESS;
    s->connections += entered ? 1 : 0;
  }
  if (entered) {
    failed = publish(s);
  }
  if (failed == MOSQ_ERR_SUCCESS) {
    ++s->published;
  } else if (stopped == 0) {
    /* A broker that is not there, or is too slow, has refused nothing. */
    const bool unreachable = failed == MOSQ_ERR_ERRNO || failed == MOSQ_ERR_EAI ||
                             failed == MOSQ_ERR_NOT_FOUND || failed == MOSQ_ERR_TIMEOUT;
    ++*(entered || unreachable ? &s->failed : &s->refused);
    fprintf(stderr, "%s: %s\n", entered ? "the connection ended" : "no connection",
            mosquitto_strerror(failed));
  }
  if (failed != MOSQ_ERR_SUCCESS || !s->stay) {
    leave(s);
  }
}

static bool read_options(struct sensor* s, int argc, char** argv) {
  static const struct option known[] = {
      {"socket", 1, NULL, 's'},    {"entity", 1, NULL, 'e'}, {"broker", 1, NULL, 'b'},
      {"purpose", 1, NULL, 'p'},   {"every", 1, NULL, 'm'},  {"count", 1, NULL, 'n'},
      {"client-id", 1, NULL, 'i'}, {"stay", 0, NULL, 'k'},   {NULL, 0, NULL, 0}};
  *s = (struct sensor){.purpose = "mqtt", .every_ms = 1000};
  for (int option = 0; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
    switch (option) {
    case 's': s->socket = optarg; break;
    case 'e': s->entity = optarg; break;
    case 'b': {
      const char* colon = strrchr(optarg, ':');
      if (colon == NULL || (size_t)(colon - optarg) >= sizeof s->host) {
        return false;
      }
      memcpy(s->host, optarg, (size_t)(colon - optarg));
      s->port = atoi(colon + 1);
      break;
    }
    case 'p': s->purpose = optarg; break;
    case 'm': s->every_ms = atoi(optarg); break;
    case 'n': s->count = atol(optarg); break;
    case 'i': s->client_id = optarg; break;
    case 'k': s->stay = true; break;
    default: return false;
    }
  }
  return s->socket != NULL && s->entity != NULL && s->port > 0 && s->every_ms > 0 && optind == argc;
}

int main(int argc, char** argv) {
  struct sensor s;
  if (!read_options(&s, argc, argv)) {
    fprintf(stderr, "usage: mqtt_sensor --socket PATH --entity ID --broker HOST:PORT [--purpose mqtt] "
                    "[--every MS] [--count N] "
                    "[--client-id ID] [--stay]\n");
    return 2;
  }
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  signal(SIGPIPE, SIG_IGN);
  mosquitto_lib_init();
  int failed = cpns_keys_open(&s.keys, s.socket, s.purpose, NULL);
  if (failed == 0) {
    failed = cpns_keys_wait_synced(s.keys, LIMIT_MS);
  }
  if (failed != 0) {
    fprintf(stderr, "no keys: %s\n", s.keys == NULL ? strerror(-failed) : cpns_keys_error(s.keys));
    cpns_keys_close(s.keys);
    return 1;
  }
  for (long long next = now_ms(); stopped == 0 && (s.count == 0 || s.published < s.count);
       next += s.every_ms) {
    (void)work(&s, NULL, next);
    if (stopped == 0) {
      read_once(&s);
    }
  }
  leave(&s);
  cpns_keys_close(s.keys);
  mosquitto_lib_cleanup();
  printf("published %ld, connections %ld, refused %ld, failed %ld\n", s.published, s.connections, s.refused,
         s.failed);
  return 0;
}
