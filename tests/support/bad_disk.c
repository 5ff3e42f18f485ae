/* Simulates a failing disk between a program and the C library: preloaded (LD_PRELOAD), or linked in front of it.
   While the file $CPNS_BAD_DISK exists, its one line selects the calls that fail:

     CALLS ERRNO TEXT [once]

   CALLS is "sync" (fsync, fdatasync), "write" (write, pwrite, writev, and calls that create, rename or remove
   files) or "all" of them; ERRNO is a number, or 0 for a call that never returns, which makes a file
   $CPNS_BAD_DISK.hangs; TEXT is a part of the affected paths. With "once" the file is removed after the first
   failure. Only regular files and folders are affected; reads never fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { syncs = 1, writes = 2 };

struct script {
  int calls, number, once;
  char text[256];
};

/* Uses system calls directly, since this file replaces the functions of the library. */
static int read_script(const char* path, struct script* s) {
  char line[512] = "", calls[8] = "", once[8] = "";
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const long n = syscall(SYS_read, fd, line, sizeof line - 1);
  syscall(SYS_close, fd);
  if (n <= 0 || sscanf(line, "%7s %d %255s %7s", calls, &s->number, s->text, once) < 3) return 0;
  s->calls = calls[0] == 's' ? syncs : calls[0] == 'w' ? writes : syncs | writes;
  s->once = strcmp(once, "once") == 0;
  return 1;
}

/* Never returns; tells the test by a file. */
static void hang(const char* script_file) {
  char mark[4096];
  snprintf(mark, sizeof mark, "%s.hangs", script_file);
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) syscall(SYS_close, fd);
  for (;;) pause();
}

/* True, with errno set, if this call must fail. */
static int fails(int call, const char* path) {
  struct script s;
  const char* file = getenv("CPNS_BAD_DISK");
  if (file == NULL || !read_script(file, &s) || (s.calls & call) == 0 || strstr(path, s.text) == NULL)
    return 0;
  if (s.once) syscall(SYS_unlinkat, AT_FDCWD, file, 0);
  if (s.number == 0) hang(file);
  errno = s.number;
  return 1;
}

static int fails_on(int call, int fd) {
  char link[64], path[4096];
  struct stat about;
  if (fd <= 2 || getenv("CPNS_BAD_DISK") == NULL) return 0;
  if (fstat(fd, &about) != 0 || (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode))) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) return 0;
  path[n] = '\0';
  return fails(call, path);
}

/* dlsym returns an object pointer; ISO C has no conversion to a function pointer. */
#pragma GCC diagnostic ignored "-Wpedantic"
#define NEXT(name)                                                                                           \
  static __typeof__(&name) next;                                                                             \
  if (next == NULL) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int fsync(int fd) {
  NEXT(fsync);
  return fails_on(syncs, fd) ? -1 : next(fd);
}
int fdatasync(int fd) {
  NEXT(fdatasync);
  return fails_on(syncs, fd) ? -1 : next(fd);
}
ssize_t write(int fd, const void* from, size_t size) {
  NEXT(write);
  return fails_on(writes, fd) ? -1 : next(fd, from, size);
}
ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  NEXT(pwrite);
  return fails_on(writes, fd) ? -1 : next(fd, from, size, at);
}
ssize_t pwrite64(int fd, const void* from, size_t size, off64_t at) {
  NEXT(pwrite64);
  return fails_on(writes, fd) ? -1 : next(fd, from, size, at);
}
ssize_t writev(int fd, const struct iovec* from, int count) {
  NEXT(writev);
  return fails_on(writes, fd) ? -1 : next(fd, from, count);
}
#define OPEN(name)                                                                                           \
  int name(const char* path, int flags, ...) {                                                               \
    NEXT(name);                                                                                              \
    va_list more;                                                                                            \
    va_start(more, flags);                                                                                   \
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;                                   \
    va_end(more);                                                                                            \
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0 && fails(writes, path)) return -1;                      \
    return next(path, flags, mode);                                                                          \
  }
OPEN(open)
OPEN(open64)
int rename(const char* from, const char* to) {
  NEXT(rename);
  return fails(writes, to) ? -1 : next(from, to);
}
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) {
  NEXT(renameat2);
  return fails(writes, to) ? -1 : next(a, from, b, to, flags);
}
int unlink(const char* path) {
  NEXT(unlink);
  return fails(writes, path) ? -1 : next(path);
}
