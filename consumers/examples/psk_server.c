/* A TLS-PSK server, as it would run on the hub: it accepts each device by the key that the gateway has for it, and answers
 * one line of text per connection with the name of the caller.
 *
 *   cc psk_server.c -o psk_server -Wl,-z,now $(pkg-config --cflags --libs cpns-keys libssl) -pthread
 *   psk_server /run/cpns/gateway/keys.sock mqtt 8883     (port 0: any; it is printed)
 *
 * A thread feeds the table of keys, so a handshake never waits for the gateway. Connections are short here: a program
 * with long ones closes those that `end_sessions` names. */

#include <arpa/inet.h>
#include <cpns_keys.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static pthread_mutex_t keys_mutex = PTHREAD_MUTEX_INITIALIZER;
static cpns_keys* keys;

static void lost(void* user, const char* why) {
  (void)user;
  fprintf(stderr, "%s\n", why);
}

static void* feed(void* unused) {
  (void)unused;
  struct pollfd ready = {.fd = cpns_keys_fd(keys), .events = POLLIN};
  for (;;) {
    poll(&ready, 1, -1);
    pthread_mutex_lock(&keys_mutex);
    cpns_keys_dispatch(keys);
    pthread_mutex_unlock(&keys_mutex);
  }
  return NULL;
}

/* Returns the length of the key; 0 refuses the caller. */
static unsigned key_of(SSL* ssl, const char* identity, unsigned char* psk, unsigned max) {
  (void)ssl;
  struct cpns_key k;
  unsigned length = 0;
  pthread_mutex_lock(&keys_mutex);
  if (identity != NULL && cpns_keys_by_identity(keys, identity, &k) == 0 && k.length <= max) {
    memcpy(psk, k.bytes, k.length);
    length = (unsigned)k.length;
  }
  pthread_mutex_unlock(&keys_mutex);
  return length;
}

static SSL_CTX* new_context(void) {
  SSL_CTX* c = SSL_CTX_new(TLS_server_method());
  if (c == NULL) return NULL;
  /* ECDHE: 0.4 ms and forward secrecy; the default DHE costs 11 ms. No tickets: one would outlive its key. */
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(c, "ECDHE-PSK-CHACHA20-POLY1305");
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_psk_server_callback(c, key_of);
  return c;
}

static void serve(SSL_CTX* context, int fd) {
  const struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  SSL* ssl = SSL_new(context);
  char line[256];
  if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
    const int got = SSL_read(ssl, line, (int)sizeof line - 1);
    if (got > 0) {
      char answer[1024];
      line[got] = '\0';
      const int length = snprintf(answer, sizeof answer, "%s said %s", SSL_get_psk_identity(ssl), line);
      SSL_write(ssl, answer, length < (int)sizeof answer ? length : (int)sizeof answer - 1);
    }
    SSL_shutdown(ssl);
  }
  SSL_free(ssl);
  close(fd);
}

static int listen_at(uint16_t port) {
  struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof a;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr*)&a, sizeof a) != 0 || listen(fd, 64) != 0 ||
      getsockname(fd, (struct sockaddr*)&a, &size) != 0)
    return -1;
  printf("port %d\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s SOCKET PURPOSE PORT\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN); /* of OpenSSL's writes; the library raises none */
  const struct cpns_keys_options options = {.events = {.lost = lost}, .acks = CPNS_KEYS_ACKS_AUTOMATIC};
  if (cpns_keys_open(&keys, argv[1], argv[2], &options) != 0) return 2;
  if (cpns_keys_wait_synced(keys, 10000) != 0) {
    fprintf(stderr, "%s: no keys: %s\n", argv[0], cpns_keys_error(keys));
    return 1;
  }
  SSL_CTX* context = new_context();
  const int door = listen_at((uint16_t)strtoul(argv[3], NULL, 10));
  pthread_t feeder;
  if (context == NULL || door < 0 || pthread_create(&feeder, NULL, feed, NULL) != 0) return 1;
  for (;;) {
    const int fd = accept(door, NULL, NULL);
    if (fd >= 0) serve(context, fd);
  }
}
