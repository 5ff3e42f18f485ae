#pragma once
#include <algorithm>

#include "base/clock.hpp"

namespace cpns::protocol {

/// Token bucket: holds `burst` tokens and gains one per interval.
class rate_limit {
 public:
  constexpr rate_limit(milliseconds interval, int burst)
      : interval_(interval), burst_(burst), tokens_(burst) {}

  /// Takes a token; false if there is none.
  bool take(time_point now) {
    refill(now);
    if (tokens_ == 0) return false;
    if (tokens_ == burst_) since_ = now;
    --tokens_;
    return true;
  }

 private:
  void refill(time_point now) {
    if (now <= since_ || tokens_ == burst_) return;
    const auto gained = (now - since_) / interval_;
    tokens_ = static_cast<int>(std::min<std::int64_t>(burst_, tokens_ + gained));
    since_ += gained * interval_;
  }

  milliseconds interval_;
  int burst_;
  int tokens_;
  time_point since_ = time_zero;
};

}  // namespace cpns::protocol
