#include "base/clock.hpp"

namespace cpns {

time_point now_wall() { return std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now()); }

time_point now_anchored() {
  struct anchor {
    time_point wall = now_wall();
    std::chrono::steady_clock::time_point steady = std::chrono::steady_clock::now();
  };
  static const anchor a;
  return a.wall + std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - a.steady);
}

}  // namespace cpns
