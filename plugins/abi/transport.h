#ifndef CPNS_ABI_TRANSPORT_H
#define CPNS_ABI_TRANSPORT_H
/* A radio as a shared object. It exports one symbol, `cpns_transport_entry`, and moves frames of bytes; it
 * knows no key and no message. Strings are UTF-8 and end in NUL. Nothing here throws. */

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
  CPNS_ERROR = 1,         /* said in words through host->log before */
  CPNS_BAD_PARAMETER = 2, /* a parameter is unknown or has a value that cannot be used */
  CPNS_WOULD_BLOCK = 3,   /* the link's queue is full; host->writable tells when to try again */
  CPNS_NO_LINK = 4,       /* no such link, or it went down */
  CPNS_LIMIT = 5,         /* over a declared limit */
  CPNS_UNSUPPORTED = 6,   /* not with this role */
  CPNS_UNAVAILABLE = 7,   /* the radio cannot be used: no adapter, no permission, address in use */
  CPNS_STATUS_NONE =
      -0x7fffffff - 1 /* never returned; makes every 32-bit value one that a host may look at */
} cpns_status;

typedef enum cpns_role {
  CPNS_ROLE_CENTRAL = 1,   /* PN GW: looks for PNEs */
  CPNS_ROLE_PERIPHERAL = 2 /* PNE: lets itself be found */
} cpns_role;

typedef enum cpns_down_reason {
  CPNS_DOWN_CLOSED = 1,    /* this side or the peer closed it */
  CPNS_DOWN_LOST = 2,      /* out of range, reset */
  CPNS_DOWN_BAD_FRAME = 3, /* the peer sent what is no frame */
  CPNS_DOWN_TOO_SLOW = 4,  /* the peer did not finish a frame or a handshake in time */
  CPNS_DOWN_LIMIT = 5      /* over a limit */
} cpns_down_reason;

typedef enum cpns_log_level {
  CPNS_LOG_DEBUG = 0,
  CPNS_LOG_INFO = 1,
  CPNS_LOG_WARN = 2,
  CPNS_LOG_ERROR = 3
} cpns_log_level;

enum {
  CPNS_TRAIT_RELIABLE = 1u << 0, /* a frame that was taken arrives while the link is up */
  CPNS_TRAIT_ORDERED = 1u << 1,  /* frames of a link keep their order */
  CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED = 1u << 2
};

typedef struct cpns_limits {
  uint32_t size;          /* sizeof(cpns_limits), set by the host; the plugin fills no more */
  uint32_t mtu;           /* bytes of one frame, 23 to 65535 */
  uint32_t max_links;     /* links at the same time, at least 1 */
  uint32_t max_endpoints; /* PNEs that one instance can present; 0 for a central */
  uint32_t traits;        /* CPNS_TRAIT_ */
  /* Since 1.1: how much of the time the radio may send, in thousandths, 1 to 1000; 0: as much as it can. */
  uint32_t duty_permille;
} cpns_limits;

typedef struct cpns_parameter {
  const char* name;  /* owned by the host, valid during open */
  const char* value; /* owned by the host, valid during open */
} cpns_parameter;

/* What a plugin may call. Owned by the host; valid until close has returned. */
typedef struct cpns_host {
  uint32_t size; /* sizeof(cpns_host) as the host was built */
  uint32_t reserved;
  void* context; /* handed back as the first argument */

  /* [plugin-thread, after the first scan(on) or add_endpoint, before close returns] A link is there. Ids only
   * grow and are not used twice. `endpoint` names the PNE (peripheral) or is 0 (central). `address` is
   * copied. */
  void (*link_up)(void* context, uint64_t link, uint64_t endpoint, const char* address);
  /* [plugin-thread, once for each link_up] The link is gone; its id is not used again. `detail` may be NULL
   * and is copied. */
  void (*link_down)(void* context, uint64_t link, uint32_t reason, const char* detail);
  /* [plugin-thread, between link_up and link_down] One frame of 1 to mtu bytes; copied. One call at a time
   * for one link. */
  void (*frame)(void* context, uint64_t link, const uint8_t* data, size_t size);
  /* [plugin-thread] A send that had returned CPNS_WOULD_BLOCK may be tried again. */
  void (*writable)(void* context, uint64_t link);
  /* [plugin-thread, central only] A peer was seen; the host may connect to `address`, which is copied. 127:
   * strength unknown. */
  void (*peer_found)(void* context, const char* address, int32_t rssi_dbm);
  /* [plugin-thread] The radio cannot go on; said once. `why` is copied. */
  void (*failed)(void* context, const char* why);
  /* [any-thread] A line for the role's log; copied. */
  void (*log)(void* context, uint32_t level, const char* text);
  /* [any-thread] An extension of the host by its id ("cpns.timer/1"), or NULL. Owned by the host. */
  const void* (*get_extension)(void* context, const char* id);

  /* Since 1.1, so only if size says that they are there. */

  /* [plugin-thread, central only] A connect that was taken ended without link_up. `why` may be NULL; both are
   * copied. */
  void (*connect_failed)(void* context, const char* address, const char* why);
  /* [host-thread, during open] The parameter `name` cannot be used, beyond what its cpns_parameter_spec says;
   * open then returns CPNS_BAD_PARAMETER. `why` is what it must be; both are copied. */
  void (*bad_parameter)(void* context, const char* name, const char* why);
} cpns_host;

/* One open radio. Owned by the plugin; valid until close has returned. */
typedef struct cpns_transport {
  uint32_t size; /* sizeof(cpns_transport) as the plugin was built */
  uint32_t reserved;
  void* context; /* handed back as the first argument */

  /* [host-thread, any time before close] Fills `limits`. */
  void (*get_limits)(void* context, cpns_limits* limits);
  /* [any-thread] Central: looks for PNEs (on) or stops (off). */
  cpns_status (*scan)(void* context, bool on);
  /* [any-thread] Peripheral: presents a PNE. `name` is a hint for people, copied, and need not go on the air.
   */
  cpns_status (*add_endpoint)(void* context, uint64_t endpoint, const char* name);
  /* [any-thread] Presents it no longer; its links go down. Unknown endpoints are ignored. */
  void (*remove_endpoint)(void* context, uint64_t endpoint);
  /* [any-thread] Central: connects to a peer that was found; the outcome is link_up, or
   * connect_failed of a host that has it. */
  cpns_status (*connect)(void* context, const char* address);
  /* [any-thread] Takes one frame of 1 to mtu bytes; copies it; never blocks. */
  cpns_status (*send)(void* context, uint64_t link, const uint8_t* data, size_t size);
  /* [any-thread] Brings a link down; link_down follows. Unknown links are ignored. */
  void (*disconnect)(void* context, uint64_t link);
  /* [host-thread, once] Ends threads and links and frees the instance. When it returns no callback runs or
   * will run. Must return within two seconds. Not called from a callback. */
  void (*close)(void* context);
  /* [any-thread] An extension of the plugin by its id ("cpns.rssi/1"), or NULL. Owned by the plugin. */
  const void* (*get_extension)(void* context, const char* id);

  /* Since 1.1, may be NULL. */

  /* [any-thread] Central: gives up connecting to `address`. connect_failed follows, or link_up if it was as
   * good as done. Unknown addresses are ignored. */
  void (*cancel)(void* context, const char* address);
} cpns_transport;

typedef struct cpns_open_args {
  uint32_t size;                    /* sizeof(cpns_open_args) as the host was built */
  uint32_t role;                    /* cpns_role */
  const cpns_parameter* parameters; /* `parameter_count` of them, names in ascending order;
                     of a host of 1.1 and up all that the schema has for the role, checked */
  size_t parameter_count;
  bool probe; /* check the parameters and the radio, and leave no trace: bind no fixed port, send nothing */
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
  /* [host-thread] Makes an instance. On anything but CPNS_OK `*out` is left alone and `host` is not used
   * again. `args` is valid during the call, `host` until close has returned. Several instances may be open at
   * once. */
  cpns_status (*open)(const cpns_host* host, const cpns_open_args* args, const cpns_transport** out);

  /* Since 1.1. */

  const cpns_parameter_spec* parameters; /* parameter_count of them, each parameter_size bytes apart */
  uint32_t parameter_count;
  uint32_t parameter_size; /* sizeof(cpns_parameter_spec) as the plugin was built; 0: it supplies no list, and
                              checks all by itself: deprecated since 1.1, its
                              successor is a list, which may be empty */
} cpns_transport_entry_t;

/* The same source can be linked into a program: with -DCPNS_STATIC_TRANSPORT=NAME the symbol becomes
 * cpns_transport_entry_NAME, and the program lists it in cpns_static_transports, which ends in NULL. It is
 * then found by its name, before any file. */
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

#ifdef __cplusplus
}
#endif
#endif
