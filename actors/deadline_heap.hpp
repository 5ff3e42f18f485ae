#pragma once
// Deadlines of many devices behind one timer. Each device has one deadline, the last one set. Not thread-safe.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/ordered_table.hpp"

namespace cpns::actors {

/// Due devices that are notified in one turn, so that other messages are not delayed.
inline constexpr std::size_t ticks_at_once = 512;

/// Longest time between two checks of the deadlines: CAF timers stop while the machine is suspended, deadlines
/// do not.
inline constexpr seconds look_again{5};

/// A hundred thousand devices wait for their next deadline, so it takes few bytes of each: a deadline that was replaced
/// stays in the heap until its time, or until the replaced ones are the most.
class deadline_heap {
 public:
  using key = std::uint64_t;

  /// `at` replaces the earlier deadline of `k`; time_never removes it.
  void set(key k, time_point at) {
    if (at == time_never) {
      current_.erase(k);
    } else {
      current_[k] = at;
      push({at, k});
    }
    drop_replaced();
  }
  /// Removes and returns at most `most` keys whose deadline is at or before `now`, the earliest first.
  std::vector<key> take_due(time_point now, std::size_t most) {
    std::vector<key> out;
    while (!heap_.empty() && heap_.front().first <= now && out.size() < most) {
      out.push_back(heap_.front().second);
      current_.erase(out.back());
      drop_replaced();
    }
    return out;
  }
  [[nodiscard]] time_point next() const { return heap_.empty() ? time_never : heap_.front().first; }
  [[nodiscard]] std::size_t size() const { return current_.size(); }

 private:
  using entry = std::pair<time_point, key>;
  static constexpr std::size_t replaced_min = 64;

  [[nodiscard]] bool is_current(const entry& e) const {
    const auto it = current_.find(e.second);
    return it != current_.end() && it->second == e.first;
  }
  void push(entry e) {
    // A vector would double its memory.
    if (heap_.size() == heap_.capacity()) heap_.reserve(heap_.size() + heap_.size() / 8 + replaced_min);
    heap_.push_back(e);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>{});
  }
  /// Then the first of the heap is current.
  void drop_replaced() {
    if (heap_.size() > 2 * current_.size() + replaced_min) {
      std::erase_if(heap_, [this](const entry& e) { return !is_current(e); });
      std::sort(heap_.begin(), heap_.end());
      heap_.erase(std::unique(heap_.begin(), heap_.end()), heap_.end());
    }
    while (!heap_.empty() && !is_current(heap_.front())) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>{});
      heap_.pop_back();
    }
  }

  ordered_table<key, time_point> current_;
  std::vector<entry> heap_;  ///< all of current_, and replaced ones; one may be there twice
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
