#pragma once

#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace cpns {

/// A lasting fault must not repeat its log line with every retry: a line is due at once, and then when its text
/// changes or every ten minutes, or after `again`. Not thread-safe.
class seldom {
 public:
  static constexpr milliseconds interval = std::chrono::minutes{10};

  [[nodiscard]] bool due(time_point now, std::string_view text, milliseconds again = interval) {
    if (text == last_ && now < next_) return false;
    last_ = text;
    next_ = now + again;
    return true;
  }
  /// The fault is over: the next line is due at once. True if a line was due since the last call.
  bool over() {
    const bool logged = !last_.empty();
    last_.clear();
    next_ = time_zero;
    return logged;
  }

 private:
  std::string last_;
  time_point next_ = time_zero;
};

}  // namespace cpns
