/* A CoAP client over DTLS-PSK: it sends each line of its standard input as PUT /reading, and prints the answer. One program
 * serves both directions: on the PNE with the key socket of the process of PNEs it calls the hub; on the hub with the key
 * socket of the gateway it calls the PNE, with the key that the PNE has confirmed.
 *
 *   cc coap_client.c -o coap_client -Wl,-z,now $(pkg-config --cflags --libs cpns-keys libcoap-3-openssl)
 *   coap_client /run/cpns/pne/keys.sock coap urn:dev:mac:0024befffe804ff1 127.0.0.1 5684
 *
 * Each session begins with the newest key. With --stay it keeps one session until that ends, as a device on mains does;
 * without it each request has a session of its own, as of a device that sleeps in between. */

#include <coap3/coap.h>
#include <cpns_keys.h>
#include <netdb.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_MS = 5000 }; /* for a request, with its handshake */

static cpns_keys* keys;
static const char* entity;
static coap_context_t* context;
static coap_address_t server;
static coap_session_t* session;
static char epoch[256]; /* of the key with which the session began */
static bool over;       /* the session */
static bool answered;
static char answer[1024];
static long requests, sessions, repeated, failures;

/* Without it libcoap writes its lines to stdout. */
static void log_line(coap_log_t level, const char* text) {
  (void)level;
  fputs(text, stderr);
}

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A session that began with a renewed key goes on. One whose device was reset or forgotten ends on this side, too: who
 * answers in it may be somebody else. */
static void end_sessions(void* user, const char* whose, const char* below, enum cpns_gone why) {
  (void)user, (void)why;
  if (session != NULL && strcmp(whose, entity) == 0 &&
      (below == NULL || cpns_keys_compare_epochs(epoch, below) < 0))
    over = true;
}

/* libcoap begins a closed session again by itself, with the key that the session had: an old one by then. So a session that
 * ends is released, outside of the callbacks of libcoap, and the next one is made here. */
static int on_event(coap_session_t* whose, const coap_event_t event) {
  if (whose == session && (event == COAP_EVENT_DTLS_CLOSED || event == COAP_EVENT_DTLS_ERROR)) over = true;
  return 0;
}

static void on_failure(coap_session_t* whose, const coap_pdu_t* sent, const coap_nack_reason_t reason,
                       const coap_mid_t id) {
  (void)sent, (void)reason, (void)id;
  if (whose == session) over = true;
}

static coap_response_t on_answer(coap_session_t* whose, const coap_pdu_t* sent, const coap_pdu_t* received,
                                 const coap_mid_t id) {
  (void)whose, (void)sent, (void)id;
  size_t length = 0;
  const uint8_t* data = NULL;
  (void)coap_get_data(received, &length, &data);
  const unsigned code = (unsigned)coap_pdu_get_code(received);
  if (code == COAP_RESPONSE_CODE_CHANGED)
    snprintf(answer, sizeof answer, "%.*s", (int)length, data == NULL ? "" : (const char*)data);
  else
    snprintf(answer, sizeof answer, "refused with %u.%02u", code >> 5, code & 31U);
  answered = true;
  return COAP_RESPONSE_OK;
}

static void leave(void) {
  if (session != NULL) coap_session_release(session); /* it says so to the server */
  session = NULL;
  over = false;
}

static bool enter(void) {
  struct cpns_key k;
  if (cpns_keys_current(keys, entity, &k) != 0) return false;
  /* libcoap copies both, and does not wipe its copy of the key when the session ends. Its header speaks of 64 bytes for an
   * identity. With OpenSSL 255 work; with tinydtls 32, so choose opaque ones for that. */
  coap_dtls_cpsk_t psk = {
      .version = COAP_DTLS_CPSK_SETUP_VERSION,
      .psk_info = {.identity = {strlen(k.identity), (const uint8_t*)k.identity}, .key = {k.length, k.bytes}}};
  snprintf(epoch, sizeof epoch, "%s", k.epoch);
  session = coap_new_client_session_psk2(context, NULL, &server, COAP_PROTO_DTLS, &psk);
  ++sessions;
  return session != NULL;
}

static bool send_line(const char* line) {
  coap_pdu_t* const request = coap_new_pdu(COAP_MESSAGE_CON, COAP_REQUEST_CODE_PUT, session);
  if (request == NULL) return false;
  uint8_t token[8];
  size_t size = 0;
  coap_session_new_token(session, &size, token);
  if (coap_add_token(request, size, token) == 0 ||
      coap_add_option(request, COAP_OPTION_URI_PATH, 7, (const uint8_t*)"reading") == 0 ||
      coap_add_data(request, strlen(line), (const uint8_t*)line) == 0) {
    coap_delete_pdu(request);
    return false;
  }
  return coap_send(session, request) != COAP_INVALID_MID;
}

/* Waits for messages, news of the keys, and (`input`) a line, `limit_ms` at most (negative: without limit), and works for
 * the first two. Returns whether there is input. */
static bool work(bool input, int limit_ms) {
  coap_tick_t now;
  coap_ticks(&now);
  const unsigned next = coap_io_prepare_epoll(context, now); /* ms; 0: nothing is due */
  if (next != 0 && (limit_ms < 0 || (int)next < limit_ms)) limit_ms = (int)next;
  struct pollfd ready[] = {{.fd = coap_context_get_coap_fd(context), .events = POLLIN},
                           {.fd = cpns_keys_fd(keys), .events = POLLIN},
                           {.fd = input ? STDIN_FILENO : -1, .events = POLLIN}};
  poll(ready, 3, limit_ms);
  cpns_keys_dispatch(keys);
  coap_io_process(context, COAP_IO_NO_WAIT);
  if (over) leave();
  return ready[2].revents != 0;
}

/* A wrong key has no alert in DTLS: the server drops what it cannot decrypt, and the client has to have a limit. */
static bool ask(const char* line) {
  const long long until = now_ms() + LIMIT_MS;
  answered = false;
  if ((session == NULL && !enter()) || !send_line(line)) return false;
  for (long long left = LIMIT_MS; session != NULL && !answered && left > 0; left = until - now_ms())
    work(false, (int)left);
  return answered;
}

int main(int argc, char** argv) {
  const bool stay = argc > 1 && strcmp(argv[1], "--stay") == 0;
  char** const given = argv + (stay ? 1 : 0);
  if (argc - (stay ? 1 : 0) != 6) {
    fprintf(stderr, "usage: %s [--stay] SOCKET PURPOSE ENTITY ADDRESS PORT\n", argv[0]);
    return 2;
  }
  entity = given[3];
  const struct addrinfo wanted = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_DGRAM};
  struct addrinfo* found = NULL;
  coap_startup();
  coap_set_log_handler(log_line);
  context = coap_new_context(NULL);
  if (context == NULL || coap_context_get_coap_fd(context) < 0 ||
      getaddrinfo(given[4], given[5], &wanted, &found) != 0)
    return 2;
  coap_address_init(&server);
  server.size = found->ai_addrlen;
  memcpy(&server.addr, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  coap_register_event_handler(context, on_event);
  coap_register_nack_handler(context, on_failure);
  coap_register_response_handler(context, on_answer);
  /* No acks: it begins sessions with the key that the PNE has, and accepts none. */
  const struct cpns_keys_options options = {.events = {.end_sessions = end_sessions}};
  if (cpns_keys_open(&keys, given[1], given[2], &options) != 0) return 2;
  if (cpns_keys_wait_synced(keys, 10000) != 0) {
    fprintf(stderr, "%s: no keys: %s\n", argv[0], cpns_keys_error(keys));
    return 1;
  }
  char line[256];
  setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what is left */
  for (;;) {
    if (!work(true, -1)) continue;
    if (fgets(line, sizeof line, stdin) == NULL) break;
    line[strcspn(line, "\n")] = '\0';
    ++requests;
    bool good = ask(line);
    if (!good) {
      /* The key or the session may have ended in the middle. PUT may be repeated; a POST could be done twice. */
      ++repeated;
      leave();
      cpns_keys_dispatch(keys);
      good = ask(line);
    }
    puts(good ? answer : "no answer");
    fflush(stdout);
    failures += !good;
    if (!stay || !good) leave();
  }
  printf("requests %ld, sessions %ld, repeated %ld, failed %ld\n", requests, sessions, repeated, failures);
  leave();
  coap_free_context(context);
  coap_cleanup();
  cpns_keys_close(keys);
  return failures == 0 ? 0 : 1;
}
