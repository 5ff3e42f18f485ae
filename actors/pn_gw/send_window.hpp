#pragma once
// How many requests a gateway keeps in flight.
//
// A server that has too many requests spends a part of its time on refusals, and more with each repetition. So a gateway
// that was refused keeps fewer requests in flight and the others to itself, and tries more of them as it is answered
// again: it halves the window, at most once for all requests that were on their way, and adds one per window of answers.

#include <algorithm>
#include <cstddef>

namespace cpns::actors {

/// Not thread-safe. `Time` is a point of any clock.
template <class Time>
class send_window {
 public:
  explicit send_window(std::size_t most) : most_(most), limit_(most) {}

  [[nodiscard]] std::size_t limit() const { return limit_; }
  /// The server has refused requests lately.
  [[nodiscard]] bool reduced() const { return limit_ < most_; }
  /// A request that was sent at `sent` was refused because the server has too many.
  void refused(Time sent, Time now) {
    if (sent < cut_) return;  // it was on its way when the window was cut
    limit_ = std::max<std::size_t>(1, limit_ / 2);
    answers_ = 0;
    cut_ = now;
  }
  /// A request was answered otherwise.
  void answered() {
    if (!reduced() || ++answers_ < limit_) return;
    ++limit_;
    answers_ = 0;
  }

 private:
  std::size_t most_, limit_, answers_ = 0;
  Time cut_{};
};

}  // namespace cpns::actors
