#ifndef CPNS_KEYS_HANDLE_H
#define CPNS_KEYS_HANDLE_H
/* A handle: the table, the connection of the watch that feeds it, and the connection on which acks are sent. Times are
 * milliseconds of CLOCK_MONOTONIC. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#include "http.h"
#include "include/cpns_keys.h"
#include "line.h"
#include "table.h"

enum { purpose_room = 17, error_room = 512, id_room = 65 };

#define NEVER INT64_MAX

/* Bytes of a line that is not whole. They are wiped when it grows and when it is emptied. */
struct buffer {
  char* data;
  size_t size;
  size_t room;
};

struct watch {
  int fd; /* -1: none, the next attempt is at `next_try` */
  int64_t next_try;
  int64_t pause;       /* before the next attempt after that */
  int64_t quiet_until; /* without a byte of the role until then the connection is given up */
  bool asks_acks;      /* in this request */
  bool knows_no_acks;  /* the role refused to be asked for them */
  bool complete;       /* the table has all that the role had sent before this, on this connection */
  bool asks_since;     /* in this request */
  bool resumed;        /* the role goes on from there: the table has what it does not send */
  char run[line_run_max +
           1]; /* with `revision`: what the table has; empty: only a list of all devices makes it whole */
  uint64_t revision;
  uint64_t unreadable; /* of the last list of all devices */
  struct http http;
  struct buffer buffer;
  char said[error_room]; /* the reason that `lost` had last */
};

struct acks {
  int fd;              /* -1: none */
  bool fresh;          /* nothing was answered on this connection yet */
  bool under_way;      /* the request for `sent` has no answer yet */
  char watch[id_room]; /* its id; empty: there is nothing to ack */
  uint64_t dispatched; /* newest revision that may be acked */
  uint64_t wanted;     /* the program said so */
  uint64_t sent;
  uint64_t acked;
  bool has_dispatched, has_wanted, has_acked;
  int64_t next_try;
  int64_t pause;
  int64_t answer_by;
  struct http http;
};

struct cpns_keys {
  struct sockaddr_un address;
  char purpose[purpose_room];
  enum cpns_keys_acks acks_mode;
  int epoll;
  int timer;
  int64_t armed; /* when the timer fires; NEVER: it does not */
  bool in_dispatch;
  bool was_complete;
  unsigned refused; /* HTTP status of the last refusal of the watch; 0: there is none */
  char error[error_room];
  struct table table;
  struct line line;
  struct watch watch;
  struct acks acks;
};

int64_t now_ms(void);
/* A connection to the role in the epoll of the handle; or a negative errno. */
int connect_to_role(const struct cpns_keys* k);
/* Sends all of a short request. */
bool send_whole(int fd, const char* text, size_t length);
void close_socket(int* fd);
/* Formats a sentence into k->error. */
__attribute__((format(printf, 2, 3))) void set_error(struct cpns_keys* k, const char* format, ...);
/* set_error about an errno. */
void set_system_error(struct cpns_keys* k, const char* what, int error);

/* -E2BIG: more than `max` bytes; -ENOMEM. */
int buffer_append(struct buffer* b, const char* data, size_t size, size_t max);
void buffer_empty(struct buffer* b);
void buffer_free(struct buffer* b);

void watch_begin(struct watch* w, int64_t now);
/* Connects, reads and gives up, as it is due. -ENOMEM, or 0. */
int watch_step(struct cpns_keys* k, int64_t now);
int64_t watch_deadline(const struct watch* w);
void watch_end(struct watch* w);

void acks_begin(struct acks* a);
/* There is a new watch with this id, or (empty) none. */
void acks_follow(struct cpns_keys* k, const char* watch);
/* A line with this revision was dispatched; `silent`: without any event for the program. */
void acks_dispatched(struct cpns_keys* k, uint64_t revision, bool silent);
void acks_want(struct acks* a);
void acks_step(struct cpns_keys* k, int64_t now);
int64_t acks_deadline(const struct acks* a);
void acks_end(struct acks* a);

#endif
