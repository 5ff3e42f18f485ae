#pragma once
// When refused gateways may come back.
//
// If all of them are told the same time, they come back together and are refused again; if the time is short, the server
// spends itself on refusals. So each refusal takes a place in a second to come, and a second has as many places as the
// server can use beside new work. The longer the line, the later the next free place.

#include <array>
#include <cstdint>
#include <random>

#include "base/entropy.hpp"
#include "server/server_metrics.hpp"

namespace cpns::server {

/// Not thread-safe. Time is an argument.
class return_calendar {
 public:
  /// Gateways keep a request for 30 s (docs/protocol.md): who finds no place before that is sent away for longer.
  static constexpr std::uint32_t horizon = 30;  ///< seconds
  static constexpr std::uint32_t later = 30;  ///< seconds after the horizon, over which the others are spread

  explicit return_calendar(entropy& random) : random_(static_cast<std::uint32_t>(random.below(UINT32_MAX))) {}

  /// The retry_after of one refusal, in seconds, at least 1. `places`: returns that fit into one second, at least 1.
  std::uint32_t take(steady::time_point now, std::uint32_t places);
  /// Places that are taken in the seconds to come.
  [[nodiscard]] std::uint64_t taken(steady::time_point now) const;

 private:
  struct second {
    std::int64_t at = -1;  ///< in whole seconds of the clock; another one: nothing is taken
    std::uint32_t taken = 0;
  };
  [[nodiscard]] static std::int64_t whole(steady::time_point t) {
    return std::chrono::duration_cast<std::chrono::seconds>(t.time_since_epoch()).count();
  }
  [[nodiscard]] second& of(std::int64_t at) {
    return seconds_[static_cast<std::size_t>(at) % seconds_.size()];
  }
  /// The first second from `from` on with a place; 0: none before the horizon.
  std::uint32_t first_free(std::int64_t now, std::uint32_t from, std::uint32_t places);

  std::minstd_rand random_;  ///< for jitter alone: it costs nothing
  std::array<second, 64> seconds_{};
};

}  // namespace cpns::server
