#pragma once
// Deadlines of many devices behind one timer: a device has one deadline at a time, the newest it named. Not
// thread-safe.

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace cpns::actors {

/// How many of those that are due are told in one go, so that whatever else came has its turn.
inline constexpr std::size_t ticks_at_once = 512;

/// How long an actor waits at most before it looks at its deadlines. The timers of CAF stand still while the
/// machine is suspended, and the deadlines do not.
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
  /// Removes and returns the keys whose deadline is at or before `now`, at most `most` of them: a wave is
  /// spread.
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

/// The timer messages that an actor sent itself. A far one that an earlier deadline overtook stays under way
/// and serves when its time comes: it is not doubled. Not thread-safe.
class armed_timers {
 public:
  struct timer {
    time_point at;
    milliseconds wait;  ///< from now, and 1 ms more, so that it does not come before its time
  };
  /// What to send so that `next` is met; nothing if time_never, or if one that is under way does.
  std::optional<timer> arm(time_point now, time_point next) {
    if (next == time_never) return std::nullopt;
    const auto at = std::min(next, now + look_again);
    if (!at_.empty() && *at_.begin() <= at) return std::nullopt;
    at_.insert(at);
    return timer{at, std::max(milliseconds{0}, std::chrono::duration_cast<milliseconds>(at - now)) +
                         milliseconds{1}};
  }
  void came(time_point at) { at_.erase(at); }

 private:
  std::set<time_point> at_;
};

}  // namespace cpns::actors
