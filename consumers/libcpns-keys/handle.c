#include "handle.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t now_ms(void) {
  struct timespec t = {0};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int connect_to_role(const struct cpns_keys* k) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  struct epoll_event wanted = {.events = EPOLLIN | EPOLLRDHUP};
  /* A Unix socket connects at once, or the queue of the role is full. */
  if (connect(fd, (const struct sockaddr*)&k->address, sizeof k->address) == 0 &&
      epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &wanted) == 0)
    return fd;
  const int error = errno;
  close(fd);
  return -error;
}

bool send_whole(int fd, const char* text, size_t length) {
  ssize_t sent = 0;
  do sent = send(fd, text, length, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent >= 0 && (size_t)sent == length;
}

void close_socket(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

void set_error(struct cpns_keys* k, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(k->error, sizeof k->error, format, arguments);
  va_end(arguments);
  for (char* at = k->error; *at != '\0'; ++at)
    if ((unsigned char)*at < 0x20U || *at == 0x7f) *at = ' ';
}

void set_system_error(struct cpns_keys* k, const char* what, int error) {
  char reason[128] = "";
  if (strerror_r(error, reason, sizeof reason) != 0) snprintf(reason, sizeof reason, "error %d", error);
  set_error(k, "%s %s: %s", what, k->address.sun_path, reason);
}

int buffer_append(struct buffer* b, const char* data, size_t size, size_t max) {
  if (size > max || b->size > max - size) return -E2BIG;
  if (b->size + size > b->room) {
    size_t room = b->room == 0 ? 4096 : b->room;
    while (room < b->size + size) room *= 2;
    char* const larger = malloc(room);
    if (larger == NULL) return -ENOMEM;
    if (b->size > 0) memcpy(larger, b->data, b->size);
    const size_t kept = b->size;
    buffer_free(b);
    *b = (struct buffer){larger, kept, room};
  }
  if (size > 0) memcpy(b->data + b->size, data, size);
  b->size += size;
  return 0;
}

void buffer_empty(struct buffer* b) {
  if (b->data != NULL) explicit_bzero(b->data, b->size);
  b->size = 0;
}

void buffer_free(struct buffer* b) {
  buffer_empty(b);
  free(b->data);
  *b = (struct buffer){0};
}
