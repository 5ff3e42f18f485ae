#pragma once
// How long the last writes of a store took.

#include <array>
#include <mutex>

#include "base/clock.hpp"

namespace cpns::storage {

/// The histogram of the metrics says how long writes take since the start, and only to a program that compares two scrapes.
/// A person who looks once wants the times of now. [thread-safe]
class write_times {
 public:
  static constexpr std::size_t kept = 256;  ///< writes

  void add(std::chrono::nanoseconds time);

  struct summary {
    std::size_t writes = 0;  ///< at most `kept`
    double median_ms = 0, p99_ms = 0;
  };
  [[nodiscard]] summary last() const;

 private:
  mutable std::mutex guard_;
  std::array<std::chrono::nanoseconds, kept> times_{};
  std::size_t next_ = 0, known_ = 0;
};

}  // namespace cpns::storage
