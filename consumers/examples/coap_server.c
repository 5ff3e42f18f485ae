/* A CoAP server over DTLS-PSK: it accepts each caller by the key that the role beside it has for it, and answers
 * PUT /reading with the name of the caller. One program serves both directions: on the hub with the key socket of the
 * gateway its callers are PNEs; on the PNE with the key socket of the process of PNEs its caller is the hub.
 *
 *   cc coap_server.c -o coap_server -Wl,-z,now $(pkg-config --cflags --libs cpns-keys libcoap-3-openssl)
 *   coap_server /run/cpns/gateway/keys.sock coap 127.0.0.1 5684
 *
 * It has one thread: it waits for messages and for news of its keys at the same time. A handshake asks the table in
 * memory alone, so it never waits for the role.
 *
 * Ciphers: libcoap takes them from the list of the client, and has no setting for them. Two libcoaps agree on
 * ECDHE-PSK-CHACHA20-POLY1305, which has forward secrecy. A device that knows PSK-AES128-CCM8 alone (RFC 7252) is served on
 * Debian 12; OpenSSL of Debian 13 needs a file in OPENSSL_CONF that sets CipherString = DEFAULT@SECLEVEL=0. */

#include <coap3/coap.h>
#include <cpns_keys.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A session that began with a key. */
struct caller {
  struct caller* next;
  coap_session_t* session;
  char entity[256];
  char epoch[256];
};

static cpns_keys* keys;
static struct caller* callers;

/* Without it libcoap writes its lines to stdout. */
static void log_line(coap_log_t level, const char* text) {
  (void)level;
  fputs(text, stderr);
}

static void lost(void* user, const char* why) {
  (void)user;
  fprintf(stderr, "%s\n", why);
}

/* The sessions of a device end when it was reset or forgotten, for example, and not when its key was renewed. libcoap frees
 * them when it is called next, so this must not run inside one of its callbacks: cpns_keys_dispatch() is called outside. */
static void end_sessions(void* user, const char* entity, const char* below, enum cpns_gone why) {
  (void)user;
  for (const struct caller* c = callers; c != NULL; c = c->next) {
    if (strcmp(c->entity, entity) != 0 || (below != NULL && cpns_keys_compare_epochs(c->epoch, below) >= 0))
      continue;
    printf("ended %s %s %s\n", c->entity, c->epoch, cpns_keys_gone_name(why));
    coap_session_disconnected(c->session, COAP_NACK_TLS_FAILED);
  }
  fflush(stdout);
}

static void remember(coap_session_t* session, const struct cpns_key* k) {
  struct caller* c = coap_session_get_app_data(session);
  if (c == NULL) {
    c = calloc(1, sizeof *c);
    if (c == NULL) return; /* then its requests are refused */
    c->session = session;
    c->next = callers;
    callers = c;
    coap_session_set_app_data(session, c);
  }
  snprintf(c->entity, sizeof c->entity, "%s", k->entity);
  snprintf(c->epoch, sizeof c->epoch, "%s", k->epoch);
}

static void forget(coap_session_t* session) {
  for (struct caller** at = &callers; *at != NULL; at = &(*at)->next) {
    if ((*at)->session != session) continue;
    struct caller* const c = *at;
    *at = c->next;
    free(c);
    coap_session_set_app_data(session, NULL);
    return;
  }
}

/* validate_id_call_back: NULL refuses the caller. The caller chose the bytes of `identity`: they need not end in NUL, and a
 * log must not have them as they are. libcoap copies the key, and does not wipe its copy when the session ends. */
static const coap_bin_const_t* key_of(coap_bin_const_t* identity, coap_session_t* session, void* unused) {
  (void)unused;
  static coap_bin_const_t found;
  char name[256];
  struct cpns_key k;
  if (identity->length >= sizeof name) return NULL;
  memcpy(name, identity->s, identity->length);
  name[identity->length] = '\0';
  if (cpns_keys_by_identity(keys, name, &k) != 0) return NULL;
  remember(session, &k);
  found = (coap_bin_const_t){.length = k.length, .s = k.bytes};
  return &found;
}

static int on_event(coap_session_t* session, const coap_event_t event) {
  if (event == COAP_EVENT_SERVER_SESSION_DEL) forget(session);
  return 0;
}

/* The device is known from the table: an opaque identity does not name it. */
static void on_put(coap_resource_t* resource, coap_session_t* session, const coap_pdu_t* request,
                   const coap_string_t* query, coap_pdu_t* response) {
  (void)resource, (void)query;
  const struct caller* const c = coap_session_get_app_data(session);
  if (c == NULL) {
    /* libcoap gives out TLS tickets. A client with one comes in without a key, and key_of is not asked: its key may be gone
     * since. It has to begin again without its ticket. */
    coap_pdu_set_code(response, COAP_RESPONSE_CODE_UNAUTHORIZED);
    return;
  }
  size_t length = 0;
  const uint8_t* data = NULL;
  char answer[1024];
  (void)coap_get_data(request, &length, &data);
  const int size = snprintf(answer, sizeof answer, "%s %s said %.*s", c->entity, c->epoch,
                            (int)(length < 256 ? length : 256), data == NULL ? "" : (const char*)data);
  coap_pdu_set_code(response, COAP_RESPONSE_CODE_CHANGED);
  coap_add_data(response, (size_t)size, (const uint8_t*)answer);
}

static coap_context_t* new_context(const char* address, const char* port) {
  const struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
  struct addrinfo* found = NULL;
  coap_context_t* const context = coap_new_context(NULL);
  if (context == NULL || getaddrinfo(address, port, &wanted, &found) != 0) return NULL;
  coap_address_t at;
  coap_address_init(&at);
  at.size = found->ai_addrlen;
  memcpy(&at.addr, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  coap_dtls_spsk_t psk = {.version = COAP_DTLS_SPSK_SETUP_VERSION, .validate_id_call_back = key_of};
  coap_resource_t* const reading = coap_resource_init(coap_make_str_const("reading"), 0);
  if (coap_context_set_psk2(context, &psk) == 0 || reading == NULL) return NULL;
  coap_register_request_handler(reading, COAP_REQUEST_PUT, on_put);
  coap_add_resource(context, reading);
  coap_register_event_handler(context, on_event);
  return coap_new_endpoint(context, &at, COAP_PROTO_DTLS) == NULL ? NULL : context;
}

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s SOCKET PURPOSE ADDRESS PORT\n", argv[0]);
    return 2;
  }
  /* Acks: a gateway then sends a PNE its next key when this program accepts it. A process of PNEs takes none. */
  const struct cpns_keys_options options = {.events = {.end_sessions = end_sessions, .lost = lost},
                                            .acks = CPNS_KEYS_ACKS_AUTOMATIC};
  if (cpns_keys_open(&keys, argv[1], argv[2], &options) != 0) return 2;
  /* An empty table would refuse everybody: serve when it is complete. */
  if (cpns_keys_wait_synced(keys, 10000) != 0) {
    fprintf(stderr, "%s: no keys: %s\n", argv[0], cpns_keys_error(keys));
    return 1;
  }
  coap_startup();
  coap_set_log_handler(log_line);
  coap_context_t* const context = new_context(argv[3], argv[4]);
  if (context == NULL || coap_context_get_coap_fd(context) < 0) {
    fprintf(stderr, "%s: cannot serve at %s port %s\n", argv[0], argv[3], argv[4]);
    return 1;
  }
  printf("ready\n");
  fflush(stdout);
  struct pollfd ready[] = {{.fd = coap_context_get_coap_fd(context), .events = POLLIN},
                           {.fd = cpns_keys_fd(keys), .events = POLLIN}};
  for (;;) {
    coap_tick_t now;
    coap_ticks(&now);
    const unsigned next = coap_io_prepare_epoll(context, now); /* ms; 0: nothing is due */
    poll(ready, 2, next == 0 ? -1 : (int)next);
    cpns_keys_dispatch(keys);
    coap_io_process(context, COAP_IO_NO_WAIT); /* with 0 it would wait, and no news of a key would come */
  }
}
