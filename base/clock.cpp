#include "base/clock.hpp"

#include <ctime>

namespace cpns {
namespace {

/// Unlike the steady clock, it counts the time in suspend.
milliseconds since_boot() {
  std::timespec t{};
  ::clock_gettime(CLOCK_BOOTTIME, &t);
  return seconds{t.tv_sec} + std::chrono::duration_cast<milliseconds>(std::chrono::nanoseconds{t.tv_nsec});
}

}  // namespace

time_point now_wall() { return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now()); }

time_point now_anchored() {
  struct anchor {
    time_point wall = now_wall();
    milliseconds boot = since_boot();
  };
  static const anchor a;
  return a.wall + (since_boot() - a.boot);
}

}  // namespace cpns
