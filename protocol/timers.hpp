#pragma once
// Named deadlines of a machine. `Timer` is an enum that counts from 0 and ends with `count_`.

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/clock.hpp"

namespace cpns::protocol {

template <class Timer>
class timer_table {
 public:
  timer_table() { at_.fill(time_never); }

  void set(Timer t, time_point when) { at_[index(t)] = when; }
  void stop(Timer t) { at_[index(t)] = time_never; }
  [[nodiscard]] bool is_expired(Timer t, time_point now) const { return at_[index(t)] <= now; }
  [[nodiscard]] time_point at(Timer t) const { return at_[index(t)]; }
  [[nodiscard]] time_point next() const { return *std::min_element(at_.begin(), at_.end()); }
  /// Stops `t` and says whether it had expired.
  bool take(Timer t, time_point now) {
    if (!is_expired(t, now)) return false;
    stop(t);
    return true;
  }

 private:
  static constexpr std::size_t index(Timer t) { return static_cast<std::size_t>(t); }
  std::array<time_point, static_cast<std::size_t>(Timer::count_)> at_;
};

enum class gw_timer : std::uint8_t {
  answer,  ///< When to judge what was answered, or to send DREQ or KDEL again.
  server,  ///< When to give up waiting for a nonce or for an answer of the server.
  retry,   ///< When a back-off ends, or when to ask again who holds the entity.
  update,  ///< When the next key is due while nothing else is going on.
  refill,  ///< When to ask again for more keys.
  report,  ///< When to report the own epoch again, because no answer came.
  claim,   ///< When claims that nothing verifies may begin an exchange.
  ask,     ///< When the server may be asked about the next claim.
  count_
};

}  // namespace cpns::protocol
