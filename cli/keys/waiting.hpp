#pragma once
// Signals and children of a command that runs until it is told to end.

#include <chrono>
#include <cstdint>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::cli::keys {

using instant = std::chrono::steady_clock::time_point;

/// SIGTERM, SIGINT, SIGHUP and SIGCHLD as a descriptor. Blocks them in this thread, which starts no other one before. SIGPIPE
/// is ignored. One instance in a process.
class signal_door {
 public:
  signal_door();
  struct arrived {
    int number = 0;
    bool of_terminal = false;  ///< Ctrl-C: all processes of the foreground got it
  };
  /// The next signal but SIGCHLD; nullopt if none waits.
  std::optional<arrived> next();
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  descriptor fd_;
};

/// Prints "cpns: SENTENCE" on standard error.
void say(const std::string& sentence);

/// Waits until a descriptor of `polled` is readable, or until `until`.
void wait_for(std::vector<pollfd>& polled, instant until);

/// A program that was started. Its standard streams are those of this process; no other descriptor is passed on but `fd`.
/// The destructor ends it, and waits for that.
class program {
 public:
  static constexpr seconds patience{10};  ///< between SIGTERM and SIGKILL

  struct start_options {
    std::vector<std::string> words;   ///< the program, found through PATH, and its arguments
    std::string variable{}, value{};  ///< of its environment; empty: none
    int fd = -1, as_fd = -1;          ///< a descriptor that it has as number `as_fd`
    bool reads_input = true;          ///< otherwise its standard input is /dev/null
  };
  /// config_file if the program cannot be executed.
  static result<program> start(const start_options& o);
  program(program&& other) noexcept;
  program& operator=(program&&) = delete;
  ~program();

  /// Its exit code when it has ended; 128 and the number of the signal that ended it.
  std::optional<int> ended();
  /// The signal that ended it; 0: it runs, or ended by itself.
  [[nodiscard]] int killed_by() const { return killed_by_; }
  void send(int number) const;
  /// What becomes of a signal that is sent now: `none` would end the program or be lost, `blocked` waits until it asks for
  /// it. A shell blocks all signals for a moment when it starts a child. `handled` if the system does not tell.
  enum class reception : std::uint8_t { none, blocked, handled };
  [[nodiscard]] reception reception_of(int number) const;
  /// SIGTERM now, and SIGKILL in turn() after `patience`.
  void stop();
  /// Sends SIGKILL if it is time to.
  void turn();
  [[nodiscard]] bool stopping() const { return kill_at_.has_value(); }
  /// When turn() has work.
  [[nodiscard]] instant due() const { return kill_at_.value_or(instant::max()); }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  explicit program(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::optional<int> code_;
  int killed_by_ = 0;
  std::optional<instant> kill_at_;
};

/// "code 3", or "signal 9 (Killed)".
std::string ending_text(int code);

}  // namespace cpns::cli::keys
