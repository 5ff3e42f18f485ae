#ifndef CPNS_BROKER_CONF_H
#define CPNS_BROKER_CONF_H
/* Three settings of the broker take the keys out of the hands of a plugin, and no call of the plugin interface tells them:
 * with psk_file no plugin is asked, with per_listener_settings there are no ticks, and without use_identity_as_username a
 * resumed TLS ticket comes in without a key. So this reads the files that the broker read, by the rules of mosquitto 2.0. */

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum broker_conf_verdict {
  BROKER_CONF_GOOD,
  BROKER_CONF_REFUSED,   /* one of the three settings */
  BROKER_CONF_UNREADABLE /* a file cannot be read, or the command line names none */
};

struct broker_conf {
  enum broker_conf_verdict verdict;
  bool
      acl_file; /* whether there is a list of rights; without one and without another plugin, the broker denies all */
  char text[512]; /* unless good: a sentence that begins with FILE:LINE where there is one */
};

/* Reads the files that `cmdline` names: `length` bytes, the arguments of the broker, each with a NUL after it. */
void broker_conf_read(struct broker_conf* out, const char* cmdline, size_t length);

/* The same for this process, by /proc/self/cmdline. */
void broker_conf_read_own(struct broker_conf* out);

#ifdef __cplusplus
}
#endif

#endif
