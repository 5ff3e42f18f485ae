#pragma once
// Simulated time for tests of radios: it stands still until a test advances it. Drives the timers of event_loops
// that were made with it, and cpns.clock/1.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace cpns::plugins {

/// Several loops may share one; it must outlive them. [thread-safe]
class simulated_clock {
 public:
  /// Time stands still while any hold exists.
  using hold = std::shared_ptr<void>;

  [[nodiscard]] std::uint64_t now_ms() const;
  [[nodiscard]] hold held();

  /// Advances to `ms`, timer by timer, in the order of their due times, then of their start. Before each step it
  /// waits until no hold exists. False if one existed for `timeout` of real time. One caller at a time.
  bool run_until(std::uint64_t ms, std::chrono::milliseconds timeout = std::chrono::seconds{15});
  bool run_for(std::uint64_t ms) { return run_until(now_ms() + ms); }

  /// Calls `due` once with the clock's lock held, so `due` must only post the work; it keeps the hold until the
  /// work is done.
  std::uint64_t add(std::uint64_t after_ms, std::function<void(hold)> due);
  /// When this returns, `due` does not run and is not called again. Unknown ids are ignored.
  void remove(std::uint64_t id);

 private:
  hold make_hold();

  mutable std::mutex guard_;
  std::condition_variable idle_;
  std::uint64_t now_ms_ = 1;  // 0 could be mistaken for "never"
  std::size_t holds_ = 0;
  std::uint64_t last_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void(hold)>> timers_;  ///< by time and id
  std::map<std::uint64_t, std::uint64_t> due_at_;                                        ///< by id
};

}  // namespace cpns::plugins
