#ifndef CPNS_TLS_HOOK_H
#define CPNS_TLS_HOOK_H
/* A client whose handshake fails at once is freed by mosquitto 2.0 without MOSQ_EVT_DISCONNECT, so the book of sessions would
 * have a pointer to nothing. But the broker attaches the client to its TLS connection, and OpenSSL tells when that is freed. */

#include <stdbool.h>

/* From now on `freed` is called for each value that is attached to a TLS connection which this thread frees; some are no
 * clients. False: there is a hook in this process already, or OpenSSL refuses. */
bool tls_hook_install(void (*freed)(void* user, const void* value), void* user);

/* Removes the hook that was installed with `user`, if there is one. */
void tls_hook_remove(const void* user);

#endif
