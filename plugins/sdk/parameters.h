#ifndef CPNS_SDK_PARAMETERS_H
#define CPNS_SDK_PARAMETERS_H
/* Checks and reads the parameters of open by the plugin's declarations. C11 and C++; the host uses the same rules.
 *
 *   static const cpns_parameter_spec specs[] = {{"mtu", "Bytes of a frame.", CPNS_PARAMETER_NUMBER,
 *                                                CPNS_PARAMETER_OF_BOTH, "512", 23, 4096, NULL}};
 *   static const cpns_parameter_list known = CPNS_PARAMETER_LIST(specs);
 *   ...
 *   cpns_status s = cpns_parameters_check(&known, host, args);
 *   if (s != CPNS_OK) return s;
 *   uint64_t mtu = cpns_parameter_number(&known, args, "mtu");
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../abi/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The declarations, as in an entry. `stride`: bytes from one to the next. */
typedef struct cpns_parameter_list {
  const cpns_parameter_spec* first;
  uint32_t count;
  uint32_t stride;
} cpns_parameter_list;

#define CPNS_PARAMETER_LIST(array)                                                                           \
  { (array), (uint32_t)(sizeof(array) / sizeof((array)[0])), (uint32_t)sizeof((array)[0]) }

static inline const cpns_parameter_spec* cpns_parameter_at(const cpns_parameter_list* list, uint32_t i) {
  return (const cpns_parameter_spec*)(const void*)((const char*)list->first + (size_t)i * list->stride);
}

/* Whether the parameter exists in the role `role` (cpns_role). */
static inline bool cpns_parameter_is_of(const cpns_parameter_spec* spec, uint32_t role) {
  const uint32_t flag = role == CPNS_ROLE_CENTRAL ? (uint32_t)CPNS_PARAMETER_OF_CENTRAL
                                                  : (uint32_t)CPNS_PARAMETER_OF_PERIPHERAL;
  return (spec->flags & flag) != 0;
}

/* The declaration of `name`, or NULL. */
static inline const cpns_parameter_spec* cpns_parameter_find(const cpns_parameter_list* list,
                                                             const char* name) {
  for (uint32_t i = 0; i < list->count; ++i)
    if (strcmp(cpns_parameter_at(list, i)->name, name) == 0) return cpns_parameter_at(list, i);
  return NULL;
}

/* True for 1 to 20 decimal digits that fit 64 bits. */
static inline bool cpns_parameter_digits(const char* text, uint64_t* out) {
  uint64_t n = 0;
  if (*text == '\0') return false;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9') return false;
    const uint64_t digit = (uint64_t)(*text - '0');
    if (n > (UINT64_MAX - digit) / 10) return false;
    n = n * 10 + digit;
  }
  *out = n;
  return true;
}

static inline bool cpns_parameter_is_choice(const char* choices, const char* value) {
  const size_t size = strlen(value);
  for (const char* at = choices; at != NULL && *at != '\0';) {
    const char* space = strchr(at, ' ');
    const size_t word = space != NULL ? (size_t)(space - at) : strlen(at);
    if (word == size && size != 0 && memcmp(at, value, size) == 0) return true;
    at = space != NULL ? space + 1 : NULL;
  }
  return false;
}

/* Whether `value` fits the declaration. If not, `why` receives the requirement ("it must be a number from 23 to
 * 4096"), at most `size` bytes including the NUL. */
static inline bool cpns_parameter_fits(const cpns_parameter_spec* spec, const char* value, char* why,
                                       size_t size) {
  uint64_t n = 0;
  switch (spec->kind) {
  case CPNS_PARAMETER_NUMBER:
    if (cpns_parameter_digits(value, &n) && n >= spec->min && n <= spec->max) return true;
    snprintf(why, size, "it must be a number from %" PRIu64 " to %" PRIu64, spec->min, spec->max);
    return false;
  case CPNS_PARAMETER_BOOLEAN:
    if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) return true;
    snprintf(why, size, "it must be true or false");
    return false;
  case CPNS_PARAMETER_CHOICE:
    if (cpns_parameter_is_choice(spec->choices, value)) return true;
    snprintf(why, size, "it must be one of: %s", spec->choices != NULL ? spec->choices : "");
    return false;
  default:
    n = strlen(value);
    if (n >= spec->min && n <= spec->max) return true;
    snprintf(why, size, "it must have %" PRIu64 " to %" PRIu64 " bytes", spec->min, spec->max);
    return false;
  }
}

/* Reports to the host and to its log that `name` cannot be used. Returns CPNS_BAD_PARAMETER. */
static inline cpns_status cpns_parameter_refuse(const cpns_host* host, const char* name, const char* why) {
  char line[400];
  if (CPNS_HAS(host, bad_parameter)) host->bad_parameter(host->context, name, why);
  snprintf(line, sizeof line, "parameter %.64s: %.300s", name, why);
  host->log(host->context, CPNS_LOG_ERROR, line);
  return CPNS_BAD_PARAMETER;
}

/* The given value of `name`, or NULL. */
static inline const char* cpns_parameter_given(const cpns_open_args* args, const char* name) {
  for (size_t i = 0; i < args->parameter_count; ++i)
    if (strcmp(args->parameters[i].name, name) == 0) return args->parameters[i].value;
  return NULL;
}

/* CPNS_OK if every given parameter is declared for the role and fits, and none is missing. Otherwise it has
 * reported the error to the host, and open must return the same status. */
static inline cpns_status cpns_parameters_check(const cpns_parameter_list* list, const cpns_host* host,
                                                const cpns_open_args* args) {
  char why[320];
  for (size_t i = 0; i < args->parameter_count; ++i) {
    const cpns_parameter* p = &args->parameters[i];
    const cpns_parameter_spec* spec = cpns_parameter_find(list, p->name);
    if (spec == NULL) return cpns_parameter_refuse(host, p->name, "this plugin has no such parameter");
    if (!cpns_parameter_is_of(spec, args->role))
      return cpns_parameter_refuse(
          host, p->name,
          args->role == CPNS_ROLE_CENTRAL
              ? "it exists only in the peripheral role (PNE), and this is a central"
              : "it exists only in the central role (gateway), and this is a peripheral");
    if (!cpns_parameter_fits(spec, p->value, why, sizeof why)) {
      char line[400];
      snprintf(line, sizeof line, "%.300s, not '%.60s'", why, p->value);
      return cpns_parameter_refuse(host, p->name, line);
    }
  }
  for (uint32_t i = 0; i < list->count; ++i) {
    const cpns_parameter_spec* spec = cpns_parameter_at(list, i);
    if (spec->preset == NULL && cpns_parameter_is_of(spec, args->role) &&
        cpns_parameter_given(args, spec->name) == NULL) {
      snprintf(why, sizeof why, "it is missing: %.300s", spec->sentence);
      return cpns_parameter_refuse(host, spec->name, why);
    }
  }
  return CPNS_OK;
}

/* The value of a checked parameter: the given one, or its preset. "" for an undeclared parameter. */
static inline const char* cpns_parameter_text(const cpns_parameter_list* list, const cpns_open_args* args,
                                              const char* name) {
  const char* value = cpns_parameter_given(args, name);
  if (value == NULL) {
    const cpns_parameter_spec* spec = cpns_parameter_find(list, name);
    value = spec != NULL ? spec->preset : NULL;
  }
  return value != NULL ? value : "";
}

/* The same as a number; 0 if the value is not a number. */
static inline uint64_t cpns_parameter_number(const cpns_parameter_list* list, const cpns_open_args* args,
                                             const char* name) {
  uint64_t n = 0;
  return cpns_parameter_digits(cpns_parameter_text(list, args, name), &n) ? n : 0;
}

static inline bool cpns_parameter_boolean(const cpns_parameter_list* list, const cpns_open_args* args,
                                          const char* name) {
  return strcmp(cpns_parameter_text(list, args, name), "true") == 0;
}

#ifdef __cplusplus
}
#endif
#endif
