#pragma once
// Lines of a log that would say the same for as long as something is wrong.

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace cpns {

/// Says when such a line is due: at once, at once again when its text is another one, else every ten minutes.
/// Not thread-safe.
class seldom {
 public:
  static constexpr milliseconds interval = std::chrono::minutes{10};

  [[nodiscard]] bool due(time_point now, std::string_view text) {
    if (text == last_ && now < next_) return false;
    last_ = text;
    next_ = now + interval;
    return true;
  }
  /// What was wrong is over: the next line is due at once. True if anything was said.
  bool over() {
    const bool said = !last_.empty();
    last_.clear();
    next_ = time_zero;
    return said;
  }

 private:
  std::string last_;
  time_point next_ = time_zero;
};

}  // namespace cpns
