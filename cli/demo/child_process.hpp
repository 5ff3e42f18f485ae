#pragma once
// A child of a demo: a role, the broker or the clients of an application.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace cpns::cli {

/// The resources that a process has used since its start.
struct process_usage {
  std::chrono::nanoseconds cpu{0};
  std::uint64_t resident_kb = 0;
};
/// All zero if the process has ended.
process_usage usage_of(pid_t pid);

/// Of a user of this machine.
struct account {
  uid_t user;
  gid_t group;
};

/// Owns a child process. The destructor sends SIGTERM and after five seconds SIGKILL. The kernel kills the child when the thread that
/// started it ends (PR_SET_PDEATHSIG), so that not even SIGKILL here leaves it running.
class child_process {
 public:
  /// Starts this very binary with `args`; standard output and error are appended to the file `output`.
  static result<child_process> start(const std::vector<std::string>& args, const std::string& output);
  /// Starts the file `program` with the arguments `words`, of which the first is its name. `as`: it never has the rights of this process,
  /// but those of that account, which needs root.
  static result<child_process> start(const std::string& program, std::vector<std::string> words,
                                     const std::string& output, std::optional<account> as);
  child_process(child_process&& other) noexcept : pid_(other.pid_), code_(other.code_) { other.pid_ = -1; }
  child_process& operator=(child_process&& other) noexcept;
  ~child_process() { stop(); }

  /// The exit code if it has ended; 128 + signal if a signal ended it.
  std::optional<int> poll();
  /// Sends SIGTERM and does not wait.
  void ask_to_end();
  /// Ends it and returns its exit code.
  int stop();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  explicit child_process(pid_t pid) : pid_(pid) {}
  pid_t pid_ = -1;
  std::optional<int> code_;
};

}  // namespace cpns::cli
