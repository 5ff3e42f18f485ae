/* Follows the keys of a purpose with libcpns-keys until its standard input ends, and prints each event as a line:
 *   follow_keys SOCKET PURPOSE */

#include <cpns_keys.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static void put(void* user, const struct cpns_key* k) {
  (void)user;
  printf("put %s %s %s %s %s ", k->entity, k->epoch, k->state, k->use ? "use" : "accept", k->identity);
  for (size_t i = 0; i < k->length; ++i) printf("%02x", k->bytes[i]);
  printf("\n");
}

static void gone(void* user, const char* entity, const char* epoch, const char* identity,
                 enum cpns_gone why) {
  (void)user;
  printf("gone %s %s %s %s\n", entity, epoch, identity, cpns_keys_gone_name(why));
}

static void end_sessions(void* user, const char* entity, const char* below, enum cpns_gone why) {
  (void)user;
  printf("end %s %s %s\n", entity, below == NULL ? "all" : below, cpns_keys_gone_name(why));
}

static void synced(void* user, size_t unreadable) {
  (void)user;
  printf("synced %zu\n", unreadable);
}

static void lost(void* user, const char* why) {
  (void)user;
  printf("lost %s\n", why);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const struct cpns_keys_options options = {.events = {put, gone, end_sessions, synced, lost},
                                            .acks = CPNS_KEYS_ACKS_AUTOMATIC};
  cpns_keys* keys = NULL;
  if (cpns_keys_open(&keys, argv[1], argv[2], &options) != 0) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct pollfd ready[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = cpns_keys_fd(keys), .events = POLLIN}};
  while (poll(ready, 2, -1) >= 0 && ready[0].revents == 0)
    if (cpns_keys_dispatch(keys) != 0) return 1;
  cpns_keys_close(keys);
  return 0;
}
