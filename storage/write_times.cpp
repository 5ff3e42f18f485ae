#include "storage/write_times.hpp"

#include <algorithm>

namespace cpns::storage {
namespace {

/// To a thousandth.
double rounded_ms(std::chrono::nanoseconds t) {
  constexpr double per_ms = 1000;
  return static_cast<double>(std::chrono::round<std::chrono::microseconds>(t).count()) / per_ms;
}

}  // namespace

void write_times::add(std::chrono::nanoseconds time) {
  const std::lock_guard lock{guard_};
  times_[next_] = time;
  next_ = (next_ + 1) % kept;
  known_ = std::min(known_ + 1, kept);
}

write_times::summary write_times::last() const {
  std::unique_lock lock{guard_};
  auto times = times_;
  const auto n = known_;
  lock.unlock();
  if (n == 0) return {};
  constexpr std::size_t all = 100, nearly_all = 99;
  const auto end = times.begin() + static_cast<std::ptrdiff_t>(n);
  std::sort(times.begin(), end);
  return {n, rounded_ms(times[(n - 1) / 2]), rounded_ms(times[(n * nearly_all + all - 1) / all - 1])};
}

}  // namespace cpns::storage
