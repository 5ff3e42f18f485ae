#pragma once
// The one thread of an instance: it waits for file descriptors, timers and what other threads post.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "transports/ble/fd.hpp"

namespace cpns::ble {

class loop {
 public:
  using clock = std::chrono::steady_clock;
  using task = std::function<void()>;

  /// Something with a file descriptor of its own that changes, as a D-Bus connection has.
  class source {
   public:
    virtual ~source() = default;
    /// What to wait for; -1 as `fd` for nothing. `timeout_ms`, -1 for none, may be made shorter.
    virtual void prepare(int& fd, short& events, int& timeout_ms) = 0;
    /// Called after every wait.
    virtual void process() = 0;
  };

  /// `wrong` is told of exceptions that leave a task; the loop goes on. Throws std::system_error.
  explicit loop(std::function<void(const std::string&)> wrong);
  /// Begins the thread.
  void run();
  /// [any-thread but the loop's] Runs `last` in the loop if it was begun, and ends the thread. What was
  /// posted later is dropped.
  void stop(task last);

  /// [any-thread]
  void post(task t);

  // The rest is for the loop's thread, or before run().
  /// `ready` gets poll's revents, until unwatch. A second call for the same `fd` replaces the first.
  void watch(int fd, short events, std::function<void(short)> ready);
  void unwatch(int fd);
  /// Runs `t` once; the number is for cancel and never 0.
  std::uint64_t after(std::chrono::milliseconds wait, task t);
  /// Numbers that ran or never were are ignored.
  void cancel(std::uint64_t timer);
  void set_source(source* s) { source_ = s; }

 private:
  struct watched {
    short events = 0;
    std::uint64_t number = 0;  ///< tells a reused descriptor from the one that was waited for
    std::function<void(short)> ready;
  };
  void turn();
  void guarded(const task& t);
  void run_due();
  void run_posted();

  std::function<void(const std::string&)> wrong_;
  fd wake_;
  source* source_ = nullptr;
  std::map<int, watched> watched_;
  std::map<std::pair<clock::time_point, std::uint64_t>, task> timers_;
  std::uint64_t next_ = 0;
  bool ended_ = false;
  std::thread thread_;

  std::mutex guard_;  // of the two below
  std::vector<task> posted_;
  bool closed_ = false;
};

}  // namespace cpns::ble
