#ifndef CPNS_ABI_PARAMETER_H
#define CPNS_ABI_PARAMETER_H
/* What a plugin can be told. It supplies the list with its entry, so a host can check a configuration without
 * opening a radio, and say file, line and column of what does not fit. */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_parameter_kind {
  CPNS_PARAMETER_TEXT = 1,    /* UTF-8 of min to max bytes */
  CPNS_PARAMETER_NUMBER = 2,  /* decimal digits, from min to max */
  CPNS_PARAMETER_BOOLEAN = 3, /* true or false */
  CPNS_PARAMETER_CHOICE = 4   /* one of choices */
} cpns_parameter_kind;

enum {
  CPNS_PARAMETER_OF_CENTRAL = 1u << 0,
  CPNS_PARAMETER_OF_PERIPHERAL = 1u << 1,
  CPNS_PARAMETER_OF_BOTH = 3u,
  /* Where the role is or goes: the ADDRESS of a moniker NAME:ADDRESS,... One for each role at most. */
  CPNS_PARAMETER_IS_ADDRESS = 1u << 2
};

/* One parameter. The strings are the plugin's and live as long as it is loaded. */
typedef struct cpns_parameter_spec {
  const char* name;     /* 1 to 32 of a to z, 0 to 9 and '_', a letter first */
  const char* sentence; /* one sentence for people, with the unit */
  uint32_t kind;        /* cpns_parameter_kind */
  uint32_t flags;       /* CPNS_PARAMETER_OF_ and CPNS_PARAMETER_IS_ */
  const char* preset;   /* what open is given when nothing was said; NULL: it has to be said */
  uint64_t min;         /* of a number, or of a text's bytes */
  uint64_t max;
  const char* choices; /* words with one space between; of CPNS_PARAMETER_CHOICE alone, else NULL */
} cpns_parameter_spec;

#ifdef __cplusplus
}
#endif
#endif
