// Preloaded into a role: shifts the wall clock and the clock that counts sleep (CLOCK_BOOTTIME) by the current content
// of the file CPNS_MOVED_CLOCK, two 64-bit numbers of seconds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t* moved(void) {
  static const volatile int64_t* at;
  static const int64_t none[2];
  if (at) return at;
  const char* file = getenv("CPNS_MOVED_CLOCK");
  int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
  void* map = fd < 0 ? MAP_FAILED : mmap(0, 16, PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  return at = map == MAP_FAILED ? none : map;
}

int clock_gettime(clockid_t clock, struct timespec* t) {
  int failed = (int)syscall(SYS_clock_gettime, clock, t);
  if (failed) return failed;
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) t->tv_sec += moved()[0];
  if (clock == CLOCK_BOOTTIME) t->tv_sec += moved()[1];
  return 0;
}

time_t time(time_t* out) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}

int gettimeofday(struct timeval* t, void* zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
