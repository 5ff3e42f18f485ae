/* A TLS-PSK client, as it would run on a device: it sends each line of its standard input over a connection of its own,
 * which it begins with the newest key of the device, and prints the answer.
 *
 *   cc psk_client.c -o psk_client -Wl,-z,now $(pkg-config --cflags --libs cpns-keys libssl)
 *   psk_client /run/cpns/pne/keys.sock mqtt urn:dev:mac:0024befffe804ff1 8883
 *
 * It has one thread: it waits for its input and for news of its keys at the same time. */

#include <arpa/inet.h>
#include <cpns_keys.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static cpns_keys* keys;
static const char* entity;

static unsigned key_to_begin(SSL* ssl, const char* hint, char* identity, unsigned max_identity,
                             unsigned char* psk, unsigned max) {
  (void)ssl;
  (void)hint;
  struct cpns_key k;
  if (cpns_keys_current(keys, entity, &k) != 0 || k.length > max || strlen(k.identity) >= max_identity)
    return 0;
  memcpy(identity, k.identity, strlen(k.identity) + 1);
  memcpy(psk, k.bytes, k.length);
  return (unsigned)k.length;
}

static SSL_CTX* new_context(void) {
  SSL_CTX* c = SSL_CTX_new(TLS_client_method());
  if (c == NULL) return NULL;
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(c, "ECDHE-PSK-CHACHA20-POLY1305");
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
  SSL_CTX_set_psk_client_callback(c, key_to_begin);
  return c;
}

/* Sends `line` and reads the answer into `out`, `size` bytes. */
static bool ask(SSL_CTX* context, uint16_t port, const char* line, char* out, int size) {
  const struct sockaddr_in a = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SSL* ssl = SSL_new(context);
  int got = 0;
  if (fd >= 0 && ssl != NULL && connect(fd, (const struct sockaddr*)&a, sizeof a) == 0 &&
      SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1 && SSL_write(ssl, line, (int)strlen(line)) > 0)
    got = SSL_read(ssl, out, size - 1);
  out[got > 0 ? got : 0] = '\0';
  SSL_free(ssl);
  if (fd >= 0) close(fd);
  return got > 0;
}

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s SOCKET PURPOSE ENTITY PORT\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  entity = argv[3];
  const struct cpns_keys_options options = {.acks = CPNS_KEYS_ACKS_AUTOMATIC};
  SSL_CTX* context = new_context();
  if (context == NULL || cpns_keys_open(&keys, argv[1], argv[2], &options) != 0) return 2;
  if (cpns_keys_wait_synced(keys, 10000) != 0) {
    fprintf(stderr, "%s: no keys: %s\n", argv[0], cpns_keys_error(keys));
    return 1;
  }
  int failures = 0;
  char line[256];
  setvbuf(stdin, NULL, _IONBF, 0); /* poll sees what is left */
  for (;;) {
    struct pollfd ready[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = cpns_keys_fd(keys), .events = POLLIN}};
    poll(ready, 2, -1);
    if (ready[1].revents != 0) cpns_keys_dispatch(keys);
    if (ready[0].revents == 0) continue;
    if (fgets(line, sizeof line, stdin) == NULL) break;
    char answer[1024];
    bool good = ask(context, (uint16_t)strtoul(argv[4], NULL, 10), line, answer, (int)sizeof answer);
    if (!good) {
      /* The key may have changed in the middle of the handshake. */
      cpns_keys_dispatch(keys);
      good = ask(context, (uint16_t)strtoul(argv[4], NULL, 10), line, answer, (int)sizeof answer);
    }
    fputs(good ? answer : "no answer\n", stdout);
    fflush(stdout);
    failures += !good;
  }
  SSL_CTX_free(context);
  cpns_keys_close(keys);
  return failures == 0 ? 0 : 1;
}
