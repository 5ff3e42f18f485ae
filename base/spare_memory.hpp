#pragma once
// Gives freed memory back to the system after a burst.
//
// glibc keeps what the threads of a process freed, in an arena for each thread, unless it lies at the end of the arena: after all
// gateways asked at once, a server would keep the memory of that minute for ever. To give it back takes some milliseconds, so this
// is done while the process has little to do.

#include <cstddef>
#include <optional>

#include "base/clock.hpp"

namespace cpns {

/// Not thread-safe.
class spare_memory {
 public:
  static constexpr seconds looks_every{5};
  /// The process is idle below this share of one core.
  static constexpr double idle_share = 0.1;
  /// Growth since the last time, for which it is worth the work.
  static constexpr std::size_t worth_bytes = std::size_t{8} << 20;

  /// Call it about every second. Gives memory back if the process was idle since the last look and has grown. True: it did.
  bool look();
  /// The same with given figures, except for the work itself. True: now is the time. `cpu`: used by the process up to now.
  bool due(time_point now, milliseconds cpu, std::size_t resident_bytes);
  /// What look() does.
  static void give_back();
  /// Resident memory of the process; 0 if /proc does not tell.
  static std::size_t resident();

 private:
  std::optional<time_point> looked_;
  milliseconds cpu_{};
  std::size_t least_ = 0;  ///< after the last time
};

}  // namespace cpns
