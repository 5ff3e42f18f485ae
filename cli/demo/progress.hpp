#pragma once
// The progress of a long step, for a person who waits at a terminal or reads the output later.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

namespace cpns::cli {

/// On a terminal the last line is rewritten. Elsewhere a step that lasts longer than `first` adds a line, and another one
/// after each `interval`; a short step adds none. Not thread-safe.
class progress {
 public:
  static constexpr std::chrono::seconds first{6}, interval{5};
  /// `quiet_output`: standard output is for a program, so the lines go to standard error.
  explicit progress(bool quiet_output) : quiet_(quiet_output) {}
  /// A step begins.
  void begin();
  /// Call it as often as the text changes.
  void show(const std::string& text);
  /// Before other output.
  void clear() const;

 private:
  bool quiet_;
  std::chrono::steady_clock::time_point next_;
};

/// How fast a count grows, over the last seconds.
class growth {
 public:
  /// Per second; 0 during the first second.
  std::uint64_t per_second(std::uint64_t now);

 private:
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  std::uint64_t before_ = 0, rate_ = 0;
};

/// Shows the current part of a step that blocks, from a thread of its own. The progress must not be used meanwhile.
class step_clock {
 public:
  explicit step_clock(progress& to);
  ~step_clock();
  step_clock(const step_clock&) = delete;
  step_clock& operator=(const step_clock&) = delete;
  /// [any-thread] What is done from now on: "starting the server".
  void now(std::string part);

 private:
  void run();
  progress& to_;
  std::mutex guard_;
  std::condition_variable over_;
  std::string part_;
  std::chrono::steady_clock::time_point since_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace cpns::cli
