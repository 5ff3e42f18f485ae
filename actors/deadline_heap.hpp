#pragma once
// Deadlines of many devices behind one timer. Each device has one deadline, the last one set. Not thread-safe.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace cpns::actors {

/// Due devices that are notified in one turn, so that other messages are not delayed.
inline constexpr std::size_t ticks_at_once = 512;

/// Longest time between two checks of the deadlines: CAF timers stop while the machine is suspended, deadlines
/// do not.
inline constexpr seconds look_again{5};

class deadline_heap {
 public:
  using key = std::uint64_t;

  /// `at` replaces the earlier deadline of `k`; time_never removes it.
  void set(key k, time_point at) {
    if (const auto it = current_.find(k); it != current_.end()) {
      order_.erase({it->second, k});
      current_.erase(it);
    }
    if (at == time_never) return;
    current_.emplace(k, at);
    order_.emplace(at, k);
  }
  /// Removes and returns at most `most` keys whose deadline is at or before `now`, the earliest first.
  std::vector<key> take_due(time_point now, std::size_t most) {
    std::vector<key> out;
    while (!order_.empty() && order_.begin()->first <= now && out.size() < most) {
      out.push_back(order_.begin()->second);
      current_.erase(out.back());
      order_.erase(order_.begin());
    }
    return out;
  }
  [[nodiscard]] time_point next() const { return order_.empty() ? time_never : order_.begin()->first; }
  [[nodiscard]] std::size_t size() const { return order_.size(); }

 private:
  std::map<key, time_point> current_;
  std::set<std::pair<time_point, key>> order_;
};

/// A delayed message that an actor sends to itself cannot be cancelled. This class tracks the pending ones, so
/// that a later deadline uses a pending timer and does not add another. Not thread-safe.
class armed_timers {
 public:
  struct timer {
    time_point at;
    milliseconds wait;  ///< from now, plus 1 ms, so that the timer does not fire early
  };
  /// The timer to start for `next`; nullopt if it is time_never or a pending timer fires in time.
  std::optional<timer> arm(time_point now, time_point next) {
    if (next == time_never) return std::nullopt;
    const auto at = std::min(next, now + look_again);
    if (!at_.empty() && *at_.begin() <= at) return std::nullopt;
    at_.insert(at);
    return timer{at, std::max(milliseconds{0}, std::chrono::duration_cast<milliseconds>(at - now)) +
                         milliseconds{1}};
  }
  void fired(time_point at) { at_.erase(at); }

 private:
  std::set<time_point> at_;
};

}  // namespace cpns::actors
