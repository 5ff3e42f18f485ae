#pragma once
// Whether a service that fails is asked. Without it each request of a device would wait for the time limit, and a service
// that comes up again would get all queries at once. Pure: time is an argument. Not thread-safe.

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/clock.hpp"

namespace cpns::server {

class circuit_breaker {
 public:
  enum class state_t : std::uint8_t {
    closed,    ///< the service is asked
    open,      ///< it is left alone
    half_open  ///< one query tries it
  };

  circuit_breaker(std::uint32_t failures_max, milliseconds pause) : most_(failures_max), pause_(pause) {}

  /// Whether a query may begin. Each true is followed by one of the three calls below.
  [[nodiscard]] bool may_ask(time_point now) {
    if (state_ == state_t::closed) return true;
    if (state_ == state_t::half_open || (now < until_ && now >= since_)) return false;
    state_ = state_t::half_open;
    return true;
  }
  /// The service answered, also that it does not know the device.
  void succeeded() {
    state_ = state_t::closed;
    failures_ = 0;
  }
  /// `at_least`: how long the service asked to be left alone. True if it is left alone from now on and was not before.
  bool failed(time_point now, milliseconds at_least = {}) {
    ++failures_;
    const bool tried = state_ == state_t::half_open;
    // Queries that began before the service was left alone do not prolong that.
    if (state_ == state_t::open || (!tried && failures_ < most_ && at_least == milliseconds{})) return false;
    state_ = state_t::open;
    since_ = now;
    until_ = now + std::max(pause_, at_least);
    return !tried;
  }
  /// The query says nothing about the service: this side ended it.
  void abandoned(time_point now) {
    if (state_ != state_t::half_open) return;
    state_ = state_t::open;
    since_ = until_ = now;
  }
  [[nodiscard]] state_t state() const { return state_; }
  [[nodiscard]] std::uint32_t failures() const { return failures_; }
  /// Until it may be tried; only while it is not closed.
  [[nodiscard]] time_point until() const { return until_; }

 private:
  const std::uint32_t most_;
  const milliseconds pause_;
  state_t state_ = state_t::closed;
  std::uint32_t failures_ = 0;
  time_point since_ = time_zero, until_ = time_zero;
};

/// "closed", "open", "half-open".
constexpr std::string_view name_of(circuit_breaker::state_t s) {
  switch (s) {
  case circuit_breaker::state_t::closed: return "closed";
  case circuit_breaker::state_t::open: return "open";
  case circuit_breaker::state_t::half_open: break;
  }
  return "half-open";
}

}  // namespace cpns::server
