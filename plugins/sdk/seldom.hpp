#pragma once
// Rate limit for log lines that a stranger can cause.

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace cpns::sdk {

/// Allows one line per `pause` and counts the suppressed ones. Not thread-safe.
class seldom {
 public:
  explicit seldom(std::chrono::milliseconds pause = std::chrono::minutes{1}) : pause_(pause) {}
  /// If a line may be written now: how many were suppressed since the last one. nullopt: suppress this one.
  std::optional<std::uint64_t> due() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) {
      ++suppressed_;
      return std::nullopt;
    }
    next_ = now + pause_;
    return std::exchange(suppressed_, 0);
  }

 private:
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point next_;
  std::uint64_t suppressed_ = 0;
};

}  // namespace cpns::sdk
