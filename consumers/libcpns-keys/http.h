#ifndef CPNS_KEYS_HTTP_H
#define CPNS_KEYS_HTTP_H
/* Reads an answer of HTTP/1.1 (RFC 9112) as it arrives: its status, and its body without the framing of the chunks.
 * Keeps one line of the header, and no part of the body. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { http_line_max = 1024, http_header_max = 16 * 1024 };

enum http_part {
  HTTP_STATUS,
  HTTP_HEADER,
  HTTP_BODY,       /* `left` bytes, or to the end of the connection */
  HTTP_CHUNK_SIZE, /* the line before a chunk */
  HTTP_CHUNK,
  HTTP_CHUNK_END, /* the line end behind a chunk */
  HTTP_TRAILER,
  HTTP_DONE
};

struct http {
  enum http_part part;
  unsigned status; /* valid from the first byte of the body, or at HTTP_DONE */
  bool chunked;
  bool has_length;
  bool closes; /* the role closes the connection after this answer */
  uint64_t left;
  size_t header_bytes;
  size_t line_length;
  char line[http_line_max];
};

void http_begin(struct http* h);
/* Takes a part of `data`, `*used` bytes of it, and points `*body` at the bytes of the body among them, `*length` of them,
 * perhaps none. false: the answer is not HTTP. Call it until all is used or `part` is HTTP_DONE. */
bool http_feed(struct http* h, const char* data, size_t size, size_t* used, const char** body,
               size_t* length);
/* The header is over. */
bool http_has_status(const struct http* h);
/* The connection ended: whether the answer is whole. */
bool http_is_whole(const struct http* h);

#endif
