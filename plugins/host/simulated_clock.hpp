#pragma once
// Time that stands until it is moved on, for radios in tests: what cpns.clock/1 holds, and what the timers of
// an event_loop go by that was made with it.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace cpns::plugins {

/// Several loops share one, and outlive it never. [thread-safe]
class simulated_clock {
 public:
  /// Time stands while one of them lives.
  using hold = std::shared_ptr<void>;

  [[nodiscard]] std::uint64_t now_ms() const;
  [[nodiscard]] hold held();

  /// Moves on to `ms`, from timer to timer in the order in which they are due, then in that in which they
  /// were started; before each step it waits until nobody holds. False if somebody did for `timeout` of real
  /// time. One caller at a time.
  bool run_until(std::uint64_t ms, std::chrono::milliseconds timeout = std::chrono::seconds{15});
  bool run_for(std::uint64_t ms) { return run_until(now_ms() + ms); }

  /// `due` is called once, with the clock's lock, so it only hands on: the hold lasts until it has had its
  /// effect.
  std::uint64_t add(std::uint64_t after_ms, std::function<void(hold)> due);
  /// `due` is not called any more, and does not run when this returns. Unknown ids are ignored.
  void remove(std::uint64_t id);

 private:
  hold make_hold();

  mutable std::mutex guard_;
  std::condition_variable idle_;
  std::uint64_t now_ms_ = 1;  // 0 would look like no time at all
  std::size_t holds_ = 0;
  std::uint64_t last_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void(hold)>> timers_;  ///< by time and id
  std::map<std::uint64_t, std::uint64_t> due_at_;                                        ///< by id
};

}  // namespace cpns::plugins
