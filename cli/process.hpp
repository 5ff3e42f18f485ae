#pragma once
// Child processes of the demo: started from this very binary, ended by process id, never left behind.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace cpns::cli {

/// What a process has used since it began.
struct process_usage {
  std::chrono::nanoseconds cpu{0};
  std::uint64_t resident_kb = 0;
};
/// All zero when there is no such process any more.
process_usage usage_of(pid_t pid);

/// Owns a child process. The destructor sends SIGTERM, waits five seconds, then SIGKILL. The child is also
/// killed when this process dies (PR_SET_PDEATHSIG), so that not even SIGKILL here leaves it running.
class child_process {
 public:
  /// Runs this binary with `args`; standard output and error go to the file `output`.
  static result<child_process> start(const std::vector<std::string>& args, const std::string& output);
  child_process(child_process&& other) noexcept : pid_(other.pid_), code_(other.code_) { other.pid_ = -1; }
  child_process& operator=(child_process&& other) noexcept;
  ~child_process() { stop(); }

  /// The exit code (128 + signal when killed) if it has ended.
  std::optional<int> poll();
  /// Ends it and returns its exit code.
  int stop();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  explicit child_process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<int> code_;
};

}  // namespace cpns::cli
