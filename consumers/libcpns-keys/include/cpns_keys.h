#ifndef CPNS_KEYS_H
#define CPNS_KEYS_H
/* libcpns-keys: application keys for a program that uses them. It follows the keys of one purpose at the key socket of a
 * gateway or a process of PNEs (docs/application-keys.md), keeps them in a table in memory, and connects again when the
 * role restarts; the table stays meanwhile.
 *
 *   poll cpns_keys_fd(), and call cpns_keys_dispatch() when it is readable;
 *   ask cpns_keys_current() and cpns_keys_by_identity() inside a handshake: they look into the table and never wait.
 *
 * Threads: one handle is used by one thread at a time, different handles by any threads. Functions that return int
 * return 0 or a negative errno value; cpns_keys_error() has the sentence. Strings are UTF-8 and end in NUL. Nothing here
 * raises SIGPIPE or writes to stderr, and each descriptor is closed on exec. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CPNS_KEYS_API __attribute__((visibility("default")))
#else
#define CPNS_KEYS_API
#endif

typedef struct cpns_keys cpns_keys;

/* One key. The library owns what the pointers name. It stays valid until the callback returns; after
 * cpns_keys_current() and cpns_keys_by_identity(), until the next cpns_keys_dispatch(), cpns_keys_wait_synced() or
 * cpns_keys_close() of this handle. The memory is wiped then: copy what you keep, and wipe your copy. */
struct cpns_key {
  const char* entity;   /* Entity ID of the device, such as urn:dev:mac:0024befffe804ff1 */
  const char* epoch;    /* generation.index, such as 3.8; cpns_keys_compare_epochs() orders them */
  const char* identity; /* the name of the key: the PSK identity */
  const char* state;    /* current, next, pending or previous; a later version may add some */
  bool use;             /* begin with this key; accept each of the others */
  const unsigned char* bytes;
  size_t length;    /* of bytes, 16 to 64 */
  int64_t since_ms; /* milliseconds since 1970 of the confirmation; 0 if the role did not say it */
};

/* Why a key is gone. cpns_keys_ends_sessions() says whether open sessions of the device end with it. */
enum cpns_gone {
  CPNS_GONE_RETIRED,     /* a later key took its place: sessions live on */
  CPNS_GONE_REPLACED,    /* its PNE was reset or lost its memory, so only a thief could use it */
  CPNS_GONE_RESET,       /* verified factory reset */
  CPNS_GONE_FORGOTTEN,   /* the gateway forgot the device */
  CPNS_GONE_REJECTED,    /* an operator rejected the device */
  CPNS_GONE_QUARANTINED, /* the device is in quarantine */
  CPNS_GONE_REVOKED,     /* the server revoked the device */
  CPNS_GONE_MOVED,       /* another gateway has the device */
  CPNS_GONE_UNREADABLE,  /* the record of the device cannot be read: sessions live on */
  CPNS_GONE_NONE,        /* the device has no key at present */
  CPNS_GONE_UNKNOWN      /* it went while there was no connection, or for a reason of a later version */
};

/* Called by cpns_keys_dispatch() and cpns_keys_wait_synced(), in the thread that called these, in the order of events.
 * Each may be NULL. A callback may call every function of the handle but dispatch, wait_synced and close. */
struct cpns_keys_events {
  /* The key is new, or its state, use or since changed. It is in the table already. */
  void (*put)(void* user, const struct cpns_key* key);
  /* The key is not in the table any more. The keys that take its place were put before. */
  void (*gone)(void* user, const char* entity, const char* epoch, const char* identity, enum cpns_gone why);
  /* All open sessions of the device must end that began with a key of an epoch below `below`; with NULL: all of
   * them. It includes sessions whose key was gone long before, as CPNS_GONE_RETIRED. Called after the `gone` of the
   * same change; it may come for a device without sessions. */
  void (*end_sessions)(void* user, const char* entity, const char* below, enum cpns_gone why);
  /* The table is complete: serve from now on. Comes again after each new connection. `unreadable`: the number of
   * devices that are left out, because the role cannot read their records. */
  void (*synced)(void* user, size_t unreadable);
  /* The connection ended or cannot be made. The table stays, the library tries again after 0.1 s, then after longer
   * pauses up to 1 s. Once for each reason until the next `synced`. `why` is a sentence, valid until this returns. */
  void (*lost)(void* user, const char* why);
};

enum cpns_keys_acks {
  CPNS_KEYS_ACKS_NONE, /* the gateway does not wait for this program */
  CPNS_KEYS_ACKS_MANUAL, /* the gateway waits a while until cpns_keys_ack() said that a new key is in force here */
  CPNS_KEYS_ACKS_AUTOMATIC /* the same, and dispatch acks when its callbacks have returned */
};

struct cpns_keys_options {
  struct cpns_keys_events events;
  void* user; /* first argument of each callback */
  enum cpns_keys_acks acks;
};

/* Begins to follow the keys of `purpose` at the Unix socket with the path `socket`, and connects in the first dispatch.
 * `options` is copied and may be NULL. -EINVAL: a purpose that does not match [a-z0-9][a-z0-9-]{0,15} or a path that
 * does not fit into a socket address; -ENOMEM, -EMFILE. Then *out is NULL. */
CPNS_KEYS_API int cpns_keys_open(cpns_keys** out, const char* socket, const char* purpose,
                                 const struct cpns_keys_options* options);

/* One descriptor for poll, the same until close: readable when dispatch has work, pauses and time limits included. The
 * library owns it; do nothing with it but wait. */
CPNS_KEYS_API int cpns_keys_fd(const cpns_keys* keys);

/* Reads, connects and sends what is due, and never waits. A dispatch that has read a quarter of a MiB returns, and the descriptor is
 * still readable. 0 also without a connection; -EBUSY inside a callback; -ENOMEM: the line that did not fit
 * will be asked for again, over a new connection. */
CPNS_KEYS_API int cpns_keys_dispatch(cpns_keys* keys);

/* Whether the table was complete at some time. It stays true when the connection ends. */
CPNS_KEYS_API bool cpns_keys_is_synced(const cpns_keys* keys);

/* Dispatches until the table is complete, `timeout_ms` at most (negative: without limit). -ETIMEDOUT; -EACCES: the role
 * refuses this program (403), cpns_keys_error() says which YAML key to change; -ENOENT: the role does not have this
 * purpose. In each case go on with dispatch: it tries again. */
CPNS_KEYS_API int cpns_keys_wait_synced(cpns_keys* keys, int timeout_ms);

/* The key with which to begin a connection to `entity`: the one with use true. -ENOENT: there is none (now). */
CPNS_KEYS_API int cpns_keys_current(cpns_keys* keys, const char* entity, struct cpns_key* out);

/* The key with this identity, to accept a connection. -ENOENT: there is none (now). */
CPNS_KEYS_API int cpns_keys_by_identity(cpns_keys* keys, const char* identity, struct cpns_key* out);

/* CPNS_KEYS_ACKS_MANUAL: says that all that was dispatched is in force in this program (inside a
 * callback: all before the change that it is called for). It is sent by dispatch, over a
 * second connection, one at a time, always the newest. -EINVAL with other acks. A role that knows no acks is not
 * asked to wait; then this does nothing. */
CPNS_KEYS_API int cpns_keys_ack(cpns_keys* keys);

/* The last sentence for people, such as the reason for which the role refused; "" if all is well. Never NULL. Valid
 * until the next call with this handle. */
CPNS_KEYS_API const char* cpns_keys_error(const cpns_keys* keys);

/* Closes both connections, wipes all keys and frees the handle. No callback is called. NULL is allowed. */
CPNS_KEYS_API void cpns_keys_close(cpns_keys* keys);

/* Whether open sessions of the device end when a key is gone for this reason. */
CPNS_KEYS_API bool cpns_keys_ends_sessions(enum cpns_gone why);

/* The word for `why`, such as "retired". Static. */
CPNS_KEYS_API const char* cpns_keys_gone_name(enum cpns_gone why);

/* Negative, 0 or positive as the epoch `a` is below, equal to or above `b`: numbers are compared, so 3.10 is above 3.9.
 * A text that is not an epoch is below each epoch. */
CPNS_KEYS_API int cpns_keys_compare_epochs(const char* a, const char* b);

#ifdef __cplusplus
}
#endif
#endif
