#pragma once
// Time is an argument: machines and codecs never read a clock. The roles read it through this interface.

#include <chrono>
#include <cstdint>
#include <functional>

namespace cpns {

using milliseconds = std::chrono::milliseconds;
using seconds = std::chrono::seconds;

/// Milliseconds since the Unix epoch.
using time_point = std::chrono::sys_time<milliseconds>;

constexpr time_point time_zero{};
constexpr time_point time_never = time_point::max();

/// [thread-safe] Reads the time.
using clock_fn = std::function<time_point()>;

/// The clock for timers: the wall clock at the first call, plus the time passed since then, suspend included.
/// It never steps with the wall clock, so running timers keep their remaining time.
time_point now_anchored();
/// The system's wall clock, which may step: for dates and for a server's issuer nonces.
time_point now_wall();

constexpr std::int64_t unix_seconds(time_point t) {
  return std::chrono::duration_cast<seconds>(t.time_since_epoch()).count();
}
constexpr std::int64_t unix_milliseconds(time_point t) { return t.time_since_epoch().count(); }

}  // namespace cpns
