#ifndef CPNS_ABI_TRANSPORT_H
#define CPNS_ABI_TRANSPORT_H
/* A radio plugin: a shared object that exports one symbol, `cpns_transport_entry`. It moves frames of bytes and
 * never sees a key or a message. Prose says "radio"; code says "transport" for the same thing. Strings are UTF-8
 * and end in NUL. No function here throws.
 *
 * Calls may nest: the host may call a function of the radio from within a callback, and a radio may make a callback
 * from within a call of the host, except in open. So hold no lock while you call the other side. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parameter.h"
#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_status {
  CPNS_OK = 0,
  CPNS_ERROR = 1,         /* the reason was logged through host->log before */
  CPNS_BAD_PARAMETER = 2, /* a parameter is unknown or has a value that cannot be used */
  CPNS_WOULD_BLOCK = 3,   /* the link's queue is full; try again after host->writable */
  CPNS_NO_LINK = 4,       /* the link does not exist or went down */
  CPNS_LIMIT = 5,         /* over a declared limit */
  CPNS_UNSUPPORTED = 6,   /* not supported in this role */
  CPNS_UNAVAILABLE = 7,   /* the radio cannot be used: no adapter, no permission, address in use */
  CPNS_STATUS_NONE = CPNS_ENUM_IS_ANY_32_BITS
} cpns_status;

typedef enum cpns_role {
  CPNS_ROLE_CENTRAL = 1,    /* PN GW: scans for PNEs */
  CPNS_ROLE_PERIPHERAL = 2, /* PNE: advertises itself */
  CPNS_ROLE_IS_32_BITS = CPNS_ENUM_IS_32_BITS
} cpns_role;

typedef enum cpns_down_reason {
  CPNS_DOWN_CLOSED = 1,    /* this side or the peer closed it */
  CPNS_DOWN_LOST = 2,      /* out of range, reset */
  CPNS_DOWN_BAD_FRAME = 3, /* the peer sent a malformed frame */
  CPNS_DOWN_TOO_SLOW = 4,  /* the peer did not finish a frame or a handshake in time */
  CPNS_DOWN_LIMIT = 5,     /* over a limit */
  CPNS_DOWN_IS_32_BITS = CPNS_ENUM_IS_32_BITS
} cpns_down_reason;

typedef enum cpns_log_level {
  CPNS_LOG_DEBUG = 0,
  CPNS_LOG_INFO = 1,
  CPNS_LOG_WARN = 2,
  CPNS_LOG_ERROR = 3,
  CPNS_LOG_IS_32_BITS = CPNS_ENUM_IS_32_BITS
} cpns_log_level;

enum {
  /* Every frame that send accepted arrives once while the link is up. Without it frames may be lost, and may
   * arrive more than once. */
  CPNS_TRAIT_RELIABLE = 1u << 0,
  /* The frames of one link keep their order: none arrives after one that was sent later, a repeated one
   * neither. */
  CPNS_TRAIT_ORDERED = 1u << 1,
  /* PNEs are found while links are up. Without it, scan may pause then. */
  CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED = 1u << 2
};

typedef struct cpns_limits {
  uint32_t size;          /* sizeof(cpns_limits), set by the host; the plugin writes no further */
  uint32_t mtu;           /* the largest frame in bytes, 23 to 65535 */
  uint32_t max_links;     /* links at the same time, at least 1 */
  uint32_t max_endpoints; /* PNEs that one instance can present; 0 for a central */
  uint32_t traits;        /* CPNS_TRAIT_ flags */
  /* Since 1.1: duty cycle, the share of time in which the radio may send, in thousandths, 1 to 1000; 0: no limit.
   */
  uint32_t duty_permille;
} cpns_limits;

typedef struct cpns_parameter {
  const char* name;  /* owned by the host, valid during open */
  const char* value; /* owned by the host, valid during open */
} cpns_parameter;

/* The functions of the host that a plugin may call. Owned by the host; valid until close has returned. */
typedef struct cpns_host {
  uint32_t size; /* sizeof(cpns_host) as the host was built */
  uint32_t reserved;
  void* context; /* the first argument of every function below */

  /* [plugin-thread, after the first scan(on) or add_endpoint, before close returns] A link is up. `link` is not 0,
   * is larger than that of each earlier call, whichever thread made it, and is never used again. `endpoint` is a
   * number from add_endpoint that was not removed (peripheral), or 0 (central). `address` names the peer; it is the
   * one of peer_found and connect if there were any. It is copied. Frames may be sent from within this call. */
  void (*link_up)(void* context, uint64_t link, uint64_t endpoint, const char* address);
  /* [plugin-thread, once for each link_up] The link is down: no frame and no writable comes after it. `reason` is a
   * cpns_down_reason. `detail` may be NULL and is copied. Not owed for links that are up when close is called, nor
   * after failed. */
  void (*link_down)(void* context, uint64_t link, uint32_t reason, const char* detail);
  /* [plugin-thread, after link_up has returned, before link_down] One frame of 1 to mtu bytes arrived, on the link
   * over which it was sent; copied. One call at a time per link. */
  void (*frame)(void* context, uint64_t link, const uint8_t* data, size_t size);
  /* [plugin-thread, between link_up and link_down] A send that returned CPNS_WOULD_BLOCK may be tried again: owed
   * after each such send, once for several together. It may come before that send has returned to its caller, and
   * without one; the host then tries in vain. */
  void (*writable)(void* context, uint64_t link);
  /* [plugin-thread, central only, while scanning] A peer without a link was found; the host may connect to
   * `address`, which is copied. It may be repeated. `rssi_dbm` 127: unknown. */
  void (*peer_found)(void* context, const char* address, int32_t rssi_dbm);
  /* [plugin-thread] The radio failed and cannot recover; called once. `why` is copied. All links are down with it,
   * without link_down. Only log may be called after it, and the host calls only close. */
  void (*failed)(void* context, const char* why);
  /* [any-thread] Writes one line to the role's log; copied. `level` is a cpns_log_level. */
  void (*log)(void* context, uint32_t level, const char* text);
  /* [any-thread] The host's extension `id` ("cpns.timer/1"), or NULL. Owned by the host. */
  const void* (*get_extension)(void* context, const char* id);

  /* Since 1.1: call them only if `size` covers them. */

  /* [plugin-thread, central only] A connect that returned CPNS_OK ended without link_up: once, also if it was
   * called several times meanwhile. `why` may be NULL; both are copied. */
  void (*connect_failed)(void* context, const char* address, const char* why);
  /* [host-thread, during open] The parameter `name` has an unusable value, for a reason that its
   * cpns_parameter_spec cannot express; open then returns CPNS_BAD_PARAMETER. `why` states the requirement
   * ("it must be ..."); both are copied. */
  void (*bad_parameter)(void* context, const char* name, const char* why);
} cpns_host;

/* One open radio. Owned by the plugin; valid until close has returned. */
typedef struct cpns_transport {
  uint32_t size; /* sizeof(cpns_transport) as the plugin was built */
  uint32_t reserved;
  void* context; /* the first argument of every function below */

  /* [host-thread, any time before close] Fills `limits`. */
  void (*get_limits)(void* context, cpns_limits* limits);
  /* [any-thread] Central: starts or stops scanning for PNEs. Links stay up when it stops, and a connect goes on. The
   * same value again changes nothing and returns CPNS_OK. Peripheral: CPNS_UNSUPPORTED. */
  cpns_status (*scan)(void* context, bool on);
  /* [any-thread] Peripheral: presents a PNE. `name` is for logs, is copied, and need not go on the air. CPNS_LIMIT:
   * there are max_endpoints already, or `endpoint` is 0 or is presented (the host does neither). Central:
   * CPNS_UNSUPPORTED. */
  cpns_status (*add_endpoint)(void* context, uint64_t endpoint, const char* name);
  /* [any-thread] Stops presenting the PNE; its links go down. Unknown endpoints are ignored. The same number may be
   * added again. */
  void (*remove_endpoint)(void* context, uint64_t endpoint);
  /* [any-thread] Central: connects to a peer that was found. CPNS_OK: link_up or connect_failed follows (the latter
   * only if the host has it), once even if connect was called again meanwhile. CPNS_LIMIT: the peer has a link, or
   * there are max_links; nothing follows. CPNS_NO_LINK: no such peer is known; a radio that cannot know it returns
   * CPNS_OK, and connect_failed follows. CPNS_UNSUPPORTED: peripheral, or a radio that links by itself. */
  cpns_status (*connect)(void* context, const char* address);
  /* [any-thread] Sends one frame of 1 to mtu bytes, which is copied. Never blocks. CPNS_LIMIT: another size. */
  cpns_status (*send)(void* context, uint64_t link, const uint8_t* data, size_t size);
  /* [any-thread] Closes a link; link_down follows. Unknown links are ignored. */
  void (*disconnect)(void* context, uint64_t link);
  /* [host-thread, once] Ends all threads and links and frees the instance. Callbacks may run until it returns, and
   * none after that. Must return within two seconds. Never called from a callback. */
  void (*close)(void* context);
  /* [any-thread] The plugin's extension `id` ("cpns.rssi/1"), or NULL. Owned by the plugin. */
  const void* (*get_extension)(void* context, const char* id);

  /* Since 1.1, may be NULL. */

  /* [any-thread] Central: cancels connecting to `address`. connect_failed follows, or link_up if the
   * connection was already established. Unknown addresses are ignored. */
  void (*cancel)(void* context, const char* address);
} cpns_transport;

typedef struct cpns_open_args {
  uint32_t size; /* sizeof(cpns_open_args) as the host was built */
  uint32_t role; /* cpns_role */
  /* `parameter_count` of them, names in ascending order. A host of 1.1 and up passes every parameter that the
   * plugin declares for the role, presets included, all checked. */
  const cpns_parameter* parameters;
  size_t parameter_count;
  bool probe; /* only check the parameters and the radio: bind no fixed port, send nothing, leave no trace */
} cpns_open_args;

/* The exported symbol. */
typedef struct cpns_transport_entry_t {
  uint32_t size;      /* sizeof(cpns_transport_entry_t) as the plugin was built */
  uint32_t abi_major; /* CPNS_ABI_MAJOR */
  uint32_t abi_minor; /* CPNS_ABI_MINOR */
  uint32_t reserved;
  const char* name;        /* "tcp" */
  const char* version;     /* of the plugin */
  const char* description; /* one sentence */
  /* [host-thread] Opens an instance. If it returns anything but CPNS_OK, it leaves `*out` unchanged and never
   * uses `host` again. `args` is valid during the call, `host` until close has returned. Several instances
   * may be open at once. Must return within two seconds. During it, the radio calls only log, get_extension and
   * bad_parameter of `host`, and functions of the extensions. */
  cpns_status (*open)(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out);

  /* Since 1.1. */

  const cpns_parameter_spec* parameters; /* `parameter_count` of them, `parameter_size` bytes apart */
  uint32_t parameter_count;
  /* sizeof(cpns_parameter_spec) as the plugin was built. 0: the plugin declares no list and checks all parameters
   * itself; deprecated since 1.1, declare a list (it may be empty). */
  uint32_t parameter_size;
} cpns_transport_entry_t;

/* With -DCPNS_STATIC_TRANSPORT=NAME the symbol is cpns_transport_entry_NAME: the build of cpns itself links its own
 * radios in this way, several into one program. */
#ifdef CPNS_STATIC_TRANSPORT
#define CPNS_STATIC_ENTRY_(name) cpns_transport_entry_##name
#define CPNS_STATIC_ENTRY(name) CPNS_STATIC_ENTRY_(name)
#define cpns_transport_entry CPNS_STATIC_ENTRY(CPNS_STATIC_TRANSPORT)
#endif
#define CPNS_ENTRY_SYMBOL "cpns_transport_entry"
#if defined(__GNUC__)
#define CPNS_EXPORT __attribute__((visibility("default")))
#else
#define CPNS_EXPORT
#endif
extern CPNS_EXPORT const cpns_transport_entry_t cpns_transport_entry;

/* The layout that every compiler has to give, whatever its flags. */
CPNS_HOLDS(sizeof(cpns_status) == 4 && sizeof(cpns_role) == 4 && sizeof(cpns_down_reason) == 4 &&
               sizeof(cpns_log_level) == 4 && sizeof(cpns_parameter_kind) == 4,
           "an enum has 32 bits");
CPNS_HOLDS(sizeof(cpns_limits) == 24, "the layout of cpns_limits is fixed");
CPNS_HOLDS(sizeof(void*) != 8 || (sizeof(cpns_host) == 96 && sizeof(cpns_transport) == 96 &&
                                  sizeof(cpns_open_args) == 32 && sizeof(cpns_transport_entry_t) == 64 &&
                                  sizeof(cpns_parameter) == 16 && sizeof(cpns_parameter_spec) == 56),
           "the layout of the structs is fixed");

#ifdef __cplusplus
}
#endif
#endif
