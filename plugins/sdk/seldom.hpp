#pragma once
// For lines of the log that a stranger can cause.

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace cpns::sdk {

/// Lets one line through in `pause`, and counts the others. Not thread-safe.
class seldom {
 public:
  explicit seldom(std::chrono::milliseconds pause = std::chrono::minutes{1}) : pause_(pause) {}
  /// How many were kept back since the last one that was let through, if this one is; nullopt: it is kept
  /// back, too.
  std::optional<std::uint64_t> due() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) {
      ++kept_back_;
      return std::nullopt;
    }
    next_ = now + pause_;
    return std::exchange(kept_back_, 0);
  }

 private:
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point next_;
  std::uint64_t kept_back_ = 0;
};

}  // namespace cpns::sdk
