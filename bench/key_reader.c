/* A program that follows application keys and acknowledges them at once, as a broker with a table would. bench/key_programs
 * runs it beside a gateway.
 *
 *   bench_key_reader SOCKET PURPOSE
 *
 * Prints "synced" when it has all keys; at the end of its standard input {"puts":N,"keys":N}. Exit codes: 0, 1 an
 * error, 2 usage. */

#include <cpns_keys.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

struct counts {
  unsigned long puts, keys;
};

static void put(void* user, const struct cpns_key* key) {
  struct counts* c = user;
  ++c->puts;
  c->keys += key->length != 0;
}

static void lost(void* user, const char* why) {
  (void)user;
  fprintf(stderr, "bench_key_reader: %s\n", why);
}

int main(int argc, char** argv) {
  if (argc != 3) return fprintf(stderr, "usage: bench_key_reader SOCKET PURPOSE\n"), 2;
  struct counts c = {0, 0};
  const struct cpns_keys_options how = {
      .events = {.put = put, .lost = lost}, .user = &c, .acks = CPNS_KEYS_ACKS_AUTOMATIC};
  cpns_keys* keys = NULL;
  if (cpns_keys_open(&keys, argv[1], argv[2], &how) != 0 || cpns_keys_wait_synced(keys, 30000) != 0)
    return fprintf(stderr, "bench_key_reader: %s\n", cpns_keys_error(keys)), 1;
  puts("synced");
  fflush(stdout);
  struct pollfd all[] = {{.fd = cpns_keys_fd(keys), .events = POLLIN},
                         {.fd = STDIN_FILENO, .events = POLLIN}};
  char byte;
  for (;;) {
    poll(all, 2, -1);
    if (all[0].revents != 0) cpns_keys_dispatch(keys);
    if (all[1].revents != 0 && read(STDIN_FILENO, &byte, 1) <= 0) break;
  }
  printf("{\"puts\":%lu,\"keys\":%lu}\n", c.puts, c.keys);
  cpns_keys_close(keys);
  return 0;
}
