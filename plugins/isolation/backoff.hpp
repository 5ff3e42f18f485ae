#pragma once
// The pause between the end of a radio's process and the start of the next one.

#include <algorithm>
#include <functional>

#include "base/clock.hpp"

namespace cpns::plugins::isolation {

/// Exponential back-off with jitter: the first pause is between half of `first` and `first`; the bound doubles up
/// to `most`. After a process that lived for `healthy_after` it starts again at `first`. Not thread-safe.
class backoff {
 public:
  struct bounds {
    milliseconds first{100}, most{10'000}, healthy_after{2'000};
  };
  /// `below(n)` draws from 0 to n - 1.
  backoff(bounds b, std::function<std::uint64_t(std::uint64_t)> below)
      : bounds_(b), below_(std::move(below)) {}

  /// The pause after a process that lived for `lived`.
  milliseconds after(milliseconds lived) {
    if (lived >= bounds_.healthy_after) next_ = milliseconds{0};
    next_ = next_.count() == 0 ? bounds_.first : std::min(2 * next_, bounds_.most);
    const auto half = static_cast<std::uint64_t>(next_.count()) / 2;
    return milliseconds{
        static_cast<std::int64_t>(static_cast<std::uint64_t>(next_.count()) - half + below_(half + 1))};
  }

 private:
  bounds bounds_;
  std::function<std::uint64_t(std::uint64_t)> below_;
  milliseconds next_{0};
};

}  // namespace cpns::plugins::isolation
