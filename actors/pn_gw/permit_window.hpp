#pragma once
// The time in which an operator lets new devices in without a question.

#include <chrono>

#include "base/clock.hpp"

namespace cpns::actors {

/// With policy `ask` a person who sets up ten headsets would have to approve each of them. While the window is open, new
/// devices are accepted as under `auto`; lists, presence and owner are checked as always. It is in memory only, so that
/// no restart leaves a gateway open. Not thread-safe.
class permit_window {
 public:
  using minutes = std::chrono::minutes;
  static constexpr minutes least{1}, most{60};

  void open(time_point now, minutes length) { until_ = now + length; }
  void close() { until_ = time_never; }
  /// Also when its time is over, until close().
  [[nodiscard]] bool is_open() const { return until_ != time_never; }
  [[nodiscard]] bool is_over(time_point now) const { return is_open() && now >= until_; }
  /// time_never: it is closed.
  [[nodiscard]] time_point until() const { return until_; }
  /// Rounded up; 0: it is closed, or its time is over.
  [[nodiscard]] seconds left(time_point now) const {
    if (!is_open() || now >= until_) return seconds{0};
    return std::chrono::ceil<seconds>(until_ - now);
  }

 private:
  time_point until_ = time_never;
};

}  // namespace cpns::actors
