#include "http.h"

#include <string.h>
#include <strings.h>

void http_begin(struct http* h) {
  h->part = HTTP_STATUS;
  h->status = 0;
  h->chunked = h->has_length = h->closes = false;
  h->left = 0;
  h->header_bytes = h->line_length = 0;
}

bool http_has_status(const struct http* h) { return h->part >= HTTP_BODY; }

bool http_is_whole(const struct http* h) {
  return h->part == HTTP_DONE || (h->part == HTTP_BODY && !h->has_length);
}

/* The value of the header `name`, or NULL: `line` has another one. */
static const char* value_of(const char* line, const char* name) {
  const size_t length = strlen(name);
  if (strncasecmp(line, name, length) != 0 || line[length] != ':') return NULL;
  line += length + 1;
  return line + strspn(line, " \t");
}

static bool read_status(struct http* h) {
  const char* at = h->line;
  if (strncmp(at, "HTTP/1.", 7) != 0 || (at[7] != '0' && at[7] != '1') || at[8] != ' ') return false;
  h->closes = at[7] == '0';
  at += 9;
  for (int i = 0; i < 3; ++i) {
    if (at[i] < '0' || at[i] > '9') return false;
    h->status = h->status * 10U + (unsigned)(at[i] - '0');
  }
  return h->status >= 200 && (at[3] == ' ' || at[3] == '\0');
}

static bool read_length(struct http* h, const char* text) {
  if (h->has_length || *text == '\0') return false;
  for (; *text != '\0'; ++text) {
    if (*text < '0' || *text > '9' || h->left > UINT32_MAX) return false;
    h->left = h->left * 10U + (uint64_t)(*text - '0');
  }
  h->has_length = true;
  return true;
}

static bool read_header(struct http* h) {
  const char* value = value_of(h->line, "Content-Length");
  if (value != NULL) return read_length(h, value);
  value = value_of(h->line, "Transfer-Encoding");
  if (value != NULL) {
    if (h->chunked || strcasecmp(value, "chunked") != 0) return false;
    h->chunked = true;
  }
  value = value_of(h->line, "Connection");
  if (value != NULL && strcasecmp(value, "close") == 0) h->closes = true;
  return strchr(h->line, ':') != NULL;
}

static bool end_header(struct http* h) {
  if (h->chunked && h->has_length) return false;
  if (h->status == 204 || h->status == 304 || (h->has_length && h->left == 0))
    h->part = HTTP_DONE;
  else
    h->part = h->chunked ? HTTP_CHUNK_SIZE : HTTP_BODY;
  return true;
}

/* Up to 8 digits; an extension behind ';' is left out. */
static bool read_chunk_size(struct http* h) {
  const char* at = h->line;
  h->left = 0;
  int count = 0;
  for (;; ++at, ++count) {
    unsigned digit = 0;
    if (*at >= '0' && *at <= '9')
      digit = (unsigned)(*at - '0');
    else if (*at >= 'a' && *at <= 'f')
      digit = (unsigned)(*at - 'a') + 10U;
    else if (*at >= 'A' && *at <= 'F')
      digit = (unsigned)(*at - 'A') + 10U;
    else
      break;
    h->left = h->left << 4U | digit;
    if (count == 8) return false;
  }
  at += strspn(at, " \t");
  if (count == 0 || (*at != '\0' && *at != ';')) return false;
  h->part = h->left == 0 ? HTTP_TRAILER : HTTP_CHUNK;
  return true;
}

/* `line` is whole. */
static bool end_line(struct http* h) {
  switch (h->part) {
  case HTTP_STATUS: h->part = HTTP_HEADER; return read_status(h);
  case HTTP_HEADER: return h->line[0] == '\0' ? end_header(h) : read_header(h);
  case HTTP_CHUNK_SIZE: return read_chunk_size(h);
  case HTTP_CHUNK_END: h->part = HTTP_CHUNK_SIZE; return h->line[0] == '\0';
  case HTTP_TRAILER:
    if (h->line[0] == '\0') h->part = HTTP_DONE;
    return true;
  default: return false;
  }
}

static bool feed_line(struct http* h, const char* data, size_t size, size_t* used) {
  for (*used = 0; *used < size;) {
    const char c = data[(*used)++];
    if (h->part < HTTP_BODY || h->part == HTTP_TRAILER)
      if (++h->header_bytes > http_header_max) return false;
    if (c == '\n') {
      if (h->line_length == 0 || h->line[h->line_length - 1] != '\r') return false;
      h->line[h->line_length - 1] = '\0';
      h->line_length = 0;
      return end_line(h);
    }
    if (c == '\0' || h->line_length == http_line_max) return false;
    h->line[h->line_length++] = c;
  }
  return true;
}

bool http_feed(struct http* h, const char* data, size_t size, size_t* used, const char** body,
               size_t* length) {
  *used = *length = 0;
  *body = data;
  if (h->part == HTTP_DONE) return size == 0;
  if (h->part != HTTP_BODY && h->part != HTTP_CHUNK) return feed_line(h, data, size, used);
  const bool counted = h->part == HTTP_CHUNK || h->has_length;
  *used = *length = counted && h->left < size ? (size_t)h->left : size;
  if (counted) h->left -= *used;
  if (counted && h->left == 0) h->part = h->part == HTTP_CHUNK ? HTTP_CHUNK_END : HTTP_DONE;
  return true;
}
