#pragma once
// Time is a value that is handed in. Machines and codecs never read a clock; the roles do, through this
// interface.

#include <chrono>
#include <cstdint>
#include <functional>

namespace cpns {

using milliseconds = std::chrono::milliseconds;
using seconds = std::chrono::seconds;

/// Milliseconds since the Unix epoch, never going back while a process runs.
using time_point = std::chrono::sys_time<milliseconds>;

constexpr time_point time_zero{};
constexpr time_point time_never = time_point::max();

/// [thread-safe] Reads the time.
using clock_fn = std::function<time_point()>;

/// What timers go by: the wall clock when the process asked first, moved on by what went by since, time
/// asleep included. No step of the wall clock reaches it, so timers keep what is left of them.
time_point now_anchored();
/// The system's wall clock, which may step: what dates and a server's issuer nonces go by.
time_point now_wall();

constexpr std::int64_t unix_seconds(time_point t) {
  return std::chrono::duration_cast<seconds>(t.time_since_epoch()).count();
}
constexpr std::int64_t unix_milliseconds(time_point t) { return t.time_since_epoch().count(); }

}  // namespace cpns
