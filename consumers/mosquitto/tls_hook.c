#include "consumers/mosquitto/tls_hook.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stddef.h>

/* The broker has two of its own. Those that OpenSSL and other plugins take are few as well. */
enum { MAX_INDEX = 32 };

static struct {
  int index;
  pthread_t thread;
  void (*freed)(void* user, const void* value);
  void* user;
} hook = {.index = -1};

static void on_free(void* tls, void* own, CRYPTO_EX_DATA* data, int index, long number, void* argument) {
  (void)tls, (void)own, (void)index, (void)number, (void)argument;
  if (hook.freed == NULL || !pthread_equal(pthread_self(), hook.thread)) {
    return; /* another plugin may have threads with connections of their own */
  }
  for (int i = 0; i < MAX_INDEX; ++i) {
    const void* value = CRYPTO_get_ex_data(data, i);
    if (value != NULL) {
      hook.freed(hook.user, value);
    }
  }
}

bool tls_hook_install(void (*freed)(void* user, const void* value), void* user) {
  if (hook.index >= 0) {
    return false;
  }
  hook.thread = pthread_self();
  hook.freed = freed;
  hook.user = user;
  hook.index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_free);
  return hook.index >= 0;
}

void tls_hook_remove(const void* user) {
  if (hook.index < 0 || hook.user != user) {
    return;
  }
  CRYPTO_free_ex_index(CRYPTO_EX_INDEX_SSL, hook.index);
  hook.index = -1;
  hook.freed = NULL;
  hook.user = NULL;
}
