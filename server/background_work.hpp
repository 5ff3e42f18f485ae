#pragma once
// A thread for work on the store that nobody waits for.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/clock.hpp"

namespace cpns::server {

/// Work over a whole table takes minutes and would delay requests. So it runs in a thread of low priority, which pauses
/// between its pages and ends within one page of stop(). The owner declares it behind all that the work uses.
class background_work {
 public:
  background_work() = default;
  /// As stop() and wait().
  ~background_work();
  background_work(const background_work&) = delete;
  background_work& operator=(const background_work&) = delete;

  /// Once. `work` returns when pause() is false.
  void start(std::function<void()> work);
  /// By the work. False: stopped.
  bool pause(milliseconds time);
  /// Ends the work soon; it may be called again. [thread-safe]
  void stop();
  /// Waits for the end of the work, whether it is done or not.
  void wait();

 private:
  std::mutex guard_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cpns::server
