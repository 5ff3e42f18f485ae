#ifndef CPNS_KEYS_TEXT_H
#define CPNS_KEYS_TEXT_H
/* The small texts of a watch: epochs, reasons, dates, hexadecimal. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/cpns_keys.h"

bool is_epoch(const char* text);
bool is_purpose(const char* text);
/* Of the code of a `gone` line; CPNS_GONE_UNKNOWN for a code that this version does not know. */
enum cpns_gone gone_of(const char* reason);
/* Milliseconds since 1970 of a date as 2026-11-30T20:00:00.000Z; 0: it is not one. */
int64_t milliseconds_of(const char* date);
/* Writes the bytes over their own text. false: the text is not hexadecimal. */
bool decode_hex(char* text, size_t length);

#endif
