/* A plugin for mosquitto 2.0: clients come in with TLS-PSK, by keys of the gateway that change while the broker runs.
 * docs/application-keys.md says how to set it up, docs/adr/0064 why it is as it is. All functions here run in the broker's
 * one thread. */

#include <cpns_keys.h>
#include <errno.h>
#include <inttypes.h>
#include <mosquitto.h>
#include <mosquitto_broker.h>
#include <mosquitto_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "consumers/mosquitto/broker_conf.h"
#include "consumers/mosquitto/feed.h"
#include "consumers/mosquitto/key_table.h"
#include "consumers/mosquitto/sessions.h"
#include "consumers/mosquitto/settings.h"
#include "consumers/mosquitto/tick_watch.h"
#include "consumers/mosquitto/tls_hook.h"

/* At most so many of each in one tick, so that the broker serves its clients meanwhile: some milliseconds each. */
enum { DEMANDS_OF_A_TICK = 8192, KICKS_OF_A_TICK = 1000, LINES_OF_A_TICK = 256 };

struct plugin {
  mosquitto_plugin_id_t* id;
  size_t registered; /* of `callbacks` */
  struct key_table* table;
  struct feed* feed;
  unsigned changes_seen; /* of the feed: all up to this one was taken */
  struct sessions book;
  struct tick_watch watch;
  bool without_ticks;      /* said */
  bool conf_refused;       /* the configuration that was reloaded */
  bool identity_unused;    /* a client had another username than its identity, until the end of the process */
  int64_t unknown_said_at; /* ms */
  unsigned unknown_since;
  char nobody[40]; /* a username that no client can know */
};

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void say(int level, const char* text) { mosquitto_log_printf(level, "cpns: %s", text); }

/* A broker that does not use the identity as username lets a client resume its session after its key is gone. So from the
 * first such client on nobody gets in: tickets that it may have are refused too. */
static void refuse_for_ever(struct plugin* p) {
  if (p->identity_unused) {
    return; /* since then no client was added to the book */
  }
  p->identity_unused = true;
  say(MOSQ_LOG_ERR, "a client has another username than its identity: set 'use_identity_as_username true' "
                    "for each listener with psk_hint, then restart the broker; no client gets in until then");
  sessions_doom(&p->book, NULL, NULL, UINT64_MAX, cpns_keys_compare_epochs);
}

/* Proves that the broker took the identity as username, then makes the Entity ID the name of the client. False: it failed. */
static bool name_session(struct plugin* p, struct session* s) {
  const char* username = mosquitto_client_username(s->client);
  if (username == NULL || strcmp(username, s->identity) != 0) {
    sessions_set_named(s);
    refuse_for_ever(p);
    return false;
  }
  if (mosquitto_set_username(s->client, s->entity) != MOSQ_ERR_SUCCESS) {
    return false; /* no memory: again in the next tick, or when a right is checked */
  }
  sessions_set_named(s);
  return true;
}

static void name_sessions(struct plugin* p) {
  struct session* next = NULL;
  for (struct session* s = sessions_first_unnamed(&p->book); s != NULL; s = next) {
    next = sessions_next_unnamed(&p->book, s);
    (void)name_session(p, s);
  }
}

/* A kick by username would walk over all clients, and end those of other listeners that have the same one. A kick by client
 * ID ends one. A client without an ID has sent no CONNECT yet; it gets a username for the kick that nobody else has. The
 * same goes for one whose ID belongs to another client, which is so while an exchange of MQTT 5 (AUTH) is under way.
 * on_disconnect takes the session out of the book. */
static void end_session(struct plugin* p, struct session* s) {
  struct mosquitto* client = s->client;
  mosquitto_log_printf(MOSQ_LOG_NOTICE, "cpns: the session of %s is ended", s->identity);
  const char* id = mosquitto_client_id(client);
  if (id != NULL) {
    (void)mosquitto_kick_client_by_clientid(id, true);
  }
  if (sessions_find(&p->book, client) == NULL ||
      mosquitto_set_username(client, p->nobody) != MOSQ_ERR_SUCCESS) {
    return; /* ended, or no memory: again in the next tick */
  }
  (void)mosquitto_kick_client_by_username(p->nobody, true);
  sessions_remove(&p->book, client);
}

static void end_doomed(struct plugin* p) {
  size_t left = p->book.doomed_count < KICKS_OF_A_TICK ? p->book.doomed_count : KICKS_OF_A_TICK;
  for (struct session* s = NULL; left > 0 && (s = sessions_first_doomed(&p->book)) != NULL; --left) {
    sessions_postpone(&p->book, s);
    end_session(p, s);
  }
}

static void take_from_feed(struct plugin* p) {
  const unsigned changes = feed_changes(p->feed);
  if (changes == p->changes_seen) {
    return;
  }
  int demands = DEMANDS_OF_A_TICK;
  struct feed_demand demand;
  for (; demands > 0 && feed_take_demand(p->feed, &demand); --demands) {
    sessions_doom(&p->book, demand.entity, demand.below, demand.number, cpns_keys_compare_epochs);
    free(demand.entity);
    free(demand.below);
  }
  int lines = LINES_OF_A_TICK;
  char* line = NULL;
  bool warning = false;
  for (; lines > 0 && feed_take_line(p->feed, &line, &warning); --lines) {
    say(warning ? MOSQ_LOG_WARNING : MOSQ_LOG_NOTICE, line);
    free(line);
  }
  if (demands > 0 && lines > 0) {
    p->changes_seen = changes;
  }
}

static int on_tick(int event, void* data, void* user) {
  (void)event, (void)data;
  struct plugin* p = user;
  tick_watch_tick(&p->watch, now_ms());
  if (p->without_ticks) {
    p->without_ticks = false;
    say(MOSQ_LOG_NOTICE, "the broker gives ticks again: keys are given again");
  }
  name_sessions(p);
  take_from_feed(p);
  end_doomed(p);
  return MOSQ_ERR_SUCCESS;
}

/* A ticket of TLS 1.3 is asked for as if it were a name. */
static bool is_name(const char* text) {
  for (; *text != '\0'; ++text) {
    if (*text <= ' ' || *text > '~') {
      return false;
    }
  }
  return true;
}

/* At most one line in a second: anybody can send names. */
static void say_unknown(struct plugin* p, const char* identity, int64_t now) {
  if (!is_name(identity)) {
    return;
  }
  if (p->unknown_said_at != 0 && now - p->unknown_said_at < 1000) {
    ++p->unknown_since;
    return;
  }
  mosquitto_log_printf(
      MOSQ_LOG_NOTICE,
      "cpns: refused: no key has the identity '%.100s' (and %u others since the last such line)", identity,
      p->unknown_since);
  p->unknown_said_at = now;
  p->unknown_since = 0;
}

static int on_psk_key(int event, void* data, void* user) {
  (void)event;
  struct plugin* p = user;
  const struct mosquitto_evt_psk_key* asked = data;
  const int64_t now = now_ms();
  if (p->conf_refused || p->identity_unused) {
    return MOSQ_ERR_AUTH;
  }
  if (!tick_watch_allows(&p->watch, now)) {
    if (!p->without_ticks) {
      p->without_ticks = true;
      say(MOSQ_LOG_ERR,
          "no tick of the broker for 2 s, so no session could be ended: no key is given until the "
          "next one. Either the broker or its machine stood still, and goes on by itself, or it "
          "has 'per_listener_settings true', which has to be removed");
    }
    return MOSQ_ERR_AUTH;
  }
  const uint64_t since = feed_newest_demand(p->feed);
  struct found_key found;
  if (!key_table_find(p->table, asked->identity, &found)) {
    say_unknown(p, asked->identity, now);
    return MOSQ_ERR_PLUGIN_DEFER;
  }
  const size_t length = strlen(found.hex);
  const bool given = asked->max_key_len > 0 && length <= (size_t)asked->max_key_len &&
                     sessions_add(&p->book, asked->client, asked->identity, found.entity, found.epoch, since);
  if (given) {
    memcpy(asked->key, found.hex, length + 1); /* the broker's buffer has a byte more */
  }
  key_table_wipe(&found);
  return given ? MOSQ_ERR_SUCCESS : MOSQ_ERR_AUTH;
}

/* Not reached by clients of a listener with psk_hint and use_identity_as_username; only other listeners ask here. */
static int on_basic_auth(int event, void* data, void* user) {
  (void)event;
  struct plugin* p = user;
  const struct mosquitto_evt_basic_auth* asked = data;
  name_sessions(p);
  const struct session* s = sessions_find(&p->book, asked->client);
  if (s != NULL && (asked->username == NULL ||
                    (strcmp(asked->username, s->identity) != 0 && strcmp(asked->username, s->entity) != 0))) {
    refuse_for_ever(p);
  }
  return p->identity_unused ? MOSQ_ERR_AUTH : MOSQ_ERR_PLUGIN_DEFER;
}

static int on_acl_check(int event, void* data, void* user) {
  (void)event;
  struct plugin* p = user;
  const struct mosquitto_evt_acl_check* asked = data;
  struct session* s = sessions_find(&p->book, asked->client);
  if (s != NULL && !s->named && !name_session(p, s)) {
    return MOSQ_ERR_ACL_DENIED;
  }
  return MOSQ_ERR_PLUGIN_DEFER; /* to acl_file, or to another plugin */
}

static int on_disconnect(int event, void* data, void* user) {
  (void)event;
  struct plugin* p = user;
  const struct mosquitto_evt_disconnect* ended = data;
  struct session* s = sessions_find(&p->book, ended->client);
  if (s == NULL) {
    return MOSQ_ERR_SUCCESS;
  }
  if (!s->named) {
    (void)name_session(p, s);
  } else if (s->doomed) {
    (void)mosquitto_set_username(ended->client,
                                 s->entity); /* its will and its stored session have that name */
  }
  sessions_remove(&p->book, ended->client);
  return MOSQ_ERR_SUCCESS;
}

static void on_tls_freed(void* user, const void* value) {
  struct plugin* p = user;
  sessions_remove(&p->book, value);
}

/* Another result than DEFER would keep the broker from reading its own lists of users and rights again. */
static int on_reload(int event, void* data, void* user) {
  (void)event, (void)data;
  struct plugin* p = user;
  struct broker_conf conf;
  broker_conf_read_own(&conf);
  if (conf.verdict == BROKER_CONF_UNREADABLE) {
    mosquitto_log_printf(MOSQ_LOG_WARNING, "cpns: %s; the settings count that were read before", conf.text);
    return MOSQ_ERR_PLUGIN_DEFER;
  }
  const bool refused = conf.verdict == BROKER_CONF_REFUSED;
  if (refused) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "cpns: %s; no key is given until then", conf.text);
  } else if (p->conf_refused) {
    say(MOSQ_LOG_NOTICE, "the configuration is good again: keys are given again");
  }
  p->conf_refused = refused;
  return MOSQ_ERR_PLUGIN_DEFER;
}

static const struct {
  int event;
  MOSQ_FUNC_generic_callback callback;
} callbacks[] = {{MOSQ_EVT_RELOAD, on_reload},         {MOSQ_EVT_ACL_CHECK, on_acl_check},
                 {MOSQ_EVT_BASIC_AUTH, on_basic_auth}, {MOSQ_EVT_DISCONNECT, on_disconnect},
                 {MOSQ_EVT_PSK_KEY, on_psk_key},       {MOSQ_EVT_TICK, on_tick}};

static void free_plugin(struct plugin* p) {
  tls_hook_remove(p);
  feed_stop(p->feed);
  key_table_free(p->table);
  sessions_clear(&p->book);
  free(p);
}

/* False: the system gives no random bytes. */
static bool choose_nobody(struct plugin* p) {
  uint64_t drawn[2];
  ssize_t got = 0;
  do {
    got = getrandom(drawn, sizeof drawn, 0);
  } while (got < 0 && errno == EINTR);
  (void)snprintf(p->nobody, sizeof p->nobody, "ended.%016" PRIx64 "%016" PRIx64, drawn[0], drawn[1]);
  return got == (ssize_t)sizeof drawn;
}

static bool start(struct plugin* p, const struct settings* set) {
  p->table = key_table_new();
  if (p->table == NULL || !sessions_init(&p->book) || !choose_nobody(p)) {
    say(MOSQ_LOG_ERR, "not enough memory, or no random bytes");
    return false;
  }
  /* Two of them would each miss the clients of the other one, and keep pointers to those that are freed. */
  if (!tls_hook_install(on_tls_freed, p)) {
    say(MOSQ_LOG_ERR,
        "OpenSSL refuses a hook, or the plugin is loaded already: have one line 'plugin' for it");
    return false;
  }
  const int failed = feed_start(&p->feed, p->table, set->socket, set->purpose);
  if (failed != 0) {
    mosquitto_log_printf(MOSQ_LOG_ERR, "cpns: plugin_opt_socket or plugin_opt_purpose cannot be used: %s",
                         strerror(-failed));
    return false;
  }
  for (; p->registered < sizeof callbacks / sizeof callbacks[0]; ++p->registered) {
    if (mosquitto_callback_register(p->id, callbacks[p->registered].event, callbacks[p->registered].callback,
                                    NULL, p) != MOSQ_ERR_SUCCESS) {
      say(MOSQ_LOG_ERR, "the broker refuses a callback");
      return false;
    }
  }
  if (!feed_wait_synced(p->feed, set->wait_ms)) {
    mosquitto_log_printf(MOSQ_LOG_WARNING,
                         "cpns: not all keys are here after %d ms: the broker starts with %zu of them",
                         set->wait_ms, key_table_size(p->table));
  }
  take_from_feed(p);
  return true;
}

int mosquitto_plugin_version(int count, const int* versions) {
  for (int i = 0; i < count; ++i) {
    if (versions[i] == MOSQ_PLUGIN_VERSION) {
      return MOSQ_PLUGIN_VERSION;
    }
  }
  return -1;
}

static void unregister(struct plugin* p) {
  for (size_t i = 0; i < p->registered; ++i) {
    (void)mosquitto_callback_unregister(p->id, callbacks[i].event, callbacks[i].callback, NULL);
  }
}

int mosquitto_plugin_init(mosquitto_plugin_id_t* id, void** user, struct mosquitto_opt* options, int count) {
  struct settings set;
  char fault[512];
  struct broker_conf conf;
  broker_conf_read_own(&conf);
  const char* refused = NULL;
  if (conf.verdict != BROKER_CONF_GOOD) {
    refused = conf.text;
  } else if (!settings_read(&set, options, count, fault, sizeof fault)) {
    refused = fault;
  }
  if (refused != NULL) {
    say(MOSQ_LOG_ERR, refused);
    return MOSQ_ERR_INVAL;
  }
  if (!conf.acl_file) {
    say(MOSQ_LOG_WARNING,
        "acl_file is not set: unless another plugin has rights for it, a client may do nothing");
  }
  struct plugin* p = calloc(1, sizeof *p);
  if (p == NULL) {
    return MOSQ_ERR_NOMEM;
  }
  p->id = id;
  if (!start(p, &set)) {
    unregister(p);
    free_plugin(p);
    return MOSQ_ERR_INVAL;
  }
  *user = p;
  return MOSQ_ERR_SUCCESS;
}

int mosquitto_plugin_cleanup(void* user, struct mosquitto_opt* options, int count) {
  (void)options, (void)count;
  struct plugin* p = user;
  if (p != NULL) {
    unregister(p);
    free_plugin(p);
  }
  return MOSQ_ERR_SUCCESS;
}
