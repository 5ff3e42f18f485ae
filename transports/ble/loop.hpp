#pragma once
// The thread of an instance: an event loop of file descriptors, timers and posted tasks. And fd, a descriptor with
// an owner.

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cpns::ble {

/// Owns a file descriptor and closes it.
class fd {
 public:
  fd() = default;
  explicit fd(int number) : number_(number) {}
  fd(fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  fd& operator=(fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.number_, -1));
    return *this;
  }
  fd(const fd&) = delete;
  fd& operator=(const fd&) = delete;
  ~fd() { reset(); }

  [[nodiscard]] int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void reset(int number = -1) {
    if (number_ >= 0) ::close(number_);
    number_ = number;
  }

 private:
  int number_ = -1;
};

class loop {
 public:
  using clock = std::chrono::steady_clock;
  using task = std::function<void()>;

  /// An event source whose file descriptor and timeout change, such as a D-Bus connection.
  class source {
   public:
    virtual ~source() = default;
    /// Sets the descriptor (-1: none) and events to wait for, and may shorten `timeout_ms` (-1: none).
    virtual void prepare(int& fd, short& events, int& timeout_ms) = 0;
    /// Called after every wait.
    virtual void process() = 0;
  };

  /// `wrong` is called with exceptions that leave a task; the loop continues. Throws std::system_error.
  explicit loop(std::function<void(const std::string&)> wrong);
  /// Starts the thread.
  void run();
  /// [any-thread but the loop's] If the thread was started, runs `last` in it and ends it. Tasks posted later are
  /// dropped.
  void stop(task last);

  /// [any-thread]
  void post(task t);

  // The rest runs in the loop's thread, or before run().
  /// Calls `ready` with poll's revents until unwatch(). A second call for the same `fd` replaces the first.
  void watch(int fd, short events, std::function<void(short)> ready);
  void unwatch(int fd);
  /// Runs `t` once after `wait`. Returns a number for cancel(), never 0.
  std::uint64_t after(std::chrono::milliseconds wait, task t);
  /// Unknown numbers, and those of timers that ran, are ignored.
  void cancel(std::uint64_t timer);
  void set_source(source* s) { source_ = s; }

 private:
  struct watched {
    short events = 0;
    std::uint64_t number = 0;  ///< distinguishes a reused descriptor from an earlier one
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

  std::mutex guard_;  // protects the two below
  std::vector<task> posted_;
  bool closed_ = false;
};

}  // namespace cpns::ble
