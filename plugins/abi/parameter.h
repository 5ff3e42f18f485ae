#ifndef CPNS_ABI_PARAMETER_H
#define CPNS_ABI_PARAMETER_H
/* The parameters of a plugin. It declares them with its entry, so that a host can check a configuration without
 * opening a radio, and can report file, line and column of a mistake. */

#include <stdint.h>

#include "version.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum cpns_parameter_kind {
  CPNS_PARAMETER_TEXT = 1,    /* UTF-8, min to max bytes */
  CPNS_PARAMETER_NUMBER = 2,  /* decimal digits, from min to max */
  CPNS_PARAMETER_BOOLEAN = 3, /* true or false */
  CPNS_PARAMETER_CHOICE = 4,  /* one of `choices` */
  CPNS_PARAMETER_IS_32_BITS = CPNS_ENUM_IS_32_BITS
} cpns_parameter_kind;

enum {
  CPNS_PARAMETER_OF_CENTRAL = 1u << 0,
  CPNS_PARAMETER_OF_PERIPHERAL = 1u << 1,
  CPNS_PARAMETER_OF_BOTH = 3u,
  /* This parameter is the ADDRESS in a moniker NAME:ADDRESS,... At most one per role. */
  CPNS_PARAMETER_IS_ADDRESS = 1u << 2
};

/* One parameter. The plugin owns the strings; they stay valid while it is loaded. */
typedef struct cpns_parameter_spec {
  const char* name;     /* 1 to 32 of a to z, 0 to 9 and '_', a letter first */
  const char* sentence; /* one sentence for users, with the unit */
  uint32_t kind;        /* cpns_parameter_kind */
  uint32_t flags;       /* CPNS_PARAMETER_OF_ and CPNS_PARAMETER_IS_ */
  const char* preset;   /* the value if the configuration has none; NULL: the parameter is required */
  uint64_t min;         /* of a number, or of a text's length in bytes */
  uint64_t max;
  const char* choices; /* words separated by one space; NULL unless kind is CPNS_PARAMETER_CHOICE */
} cpns_parameter_spec;

#ifdef __cplusplus
}
#endif
#endif
