#pragma once
// The parts of a long-running process: signals, the ready file, limits, and its state for systemd.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::cli {

/// Forbids core files, in which keys and passwords would lie; nobody but root can read the memory.
void forbid_core_files();

/// A library that binds a function at its first call saves the vector registers on the stack for that, and these may have a
/// part of a key. So this starts the program again, once, with all functions bound from the start. Returns in the second
/// one, or if the system refuses. Call it before anything else has an effect.
void bind_libraries_at_once(char* const* argv);

/// From now on std::terminate writes the queued lines of the log, for at most 200 ms, before it ends the process.
void write_log_before_terminate();

/// Raises the soft limit of open files to the hard one and returns it; 0 if it is unknown.
std::uint64_t raise_file_limit();

/// How many connections a process of a role may hold: the hard limit of open files, less 128 for its other work (at most
/// half of the limit). The tcp radio counts in the same way.
std::uint64_t connections_of_process();

/// Logs a warning if `connections`, the value of `key` in the YAML, exceed the files that this process may open.
void warn_of_files(const std::string& role, const std::string& key, std::uint64_t connections);

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and in those that it starts later; ignores SIGPIPE. Call it
/// before any thread is started, and before anything is made that an interrupted command would leave behind.
void block_signals();

/// Whether SIGINT, SIGTERM, or a SIGHUP that is not ignored (nohup) is pending since block_signals. For commands without a signal_watch.
bool cancelled();

/// Lets an operator end a role that hangs: takes the blocked signals in a thread of its own while the role starts,
/// works, drains and is destroyed. The second SIGTERM or SIGINT ends the process at once with exit code 1. The
/// destructor restores the default action of both. One instance at a time.
class signal_watch {
 public:
  explicit signal_watch(std::string role);
  ~signal_watch();
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

  /// The next signal, or 0 after `ms` milliseconds without one. [thread-safe]
  int next(int ms);
  /// The role ends by itself: the next SIGTERM or SIGINT counts as the second one. [thread-safe]
  void ending();

 private:
  void run();
  void end_at_once();

  const std::string role_;
  std::mutex guard_;
  std::condition_variable arrived_;
  std::deque<int> waiting_;
  bool asked_to_end_ = false;
  bool over_ = false;
  std::thread thread_;
};

/// Shows scripts that a role is ready: the file exists while the process that wrote it serves. That process locks
/// it, so that the file of a process that died is not mistaken for that of a running one. Removed by the
/// destructor. Not thread-safe.
class ready_file {
 public:
  /// Removes the file of a process that died. store_locked if the process that wrote it runs, config_file if the
  /// path is not a regular file. Does nothing for an empty path.
  static result<ready_file> claim(std::filesystem::path file);
  ready_file(ready_file&&) = default;
  ready_file& operator=(ready_file&&) = delete;
  ~ready_file() { remove(); }

  /// Two lines, `text` (HOST:PORT) and `pid N`. Written by rename, so that a reader never sees a part.
  status write(const std::string& text);
  void remove() noexcept;

 private:
  explicit ready_file(std::filesystem::path file) : path_(std::move(file)) {}
  std::filesystem::path path_;
  descriptor held_;  ///< the file, locked with flock(2); invalid until it is written
};

/// Removes the ready file of a process that died, for a role whose configuration has errors.
void remove_stale_ready_file(const std::filesystem::path& file);

struct daemon_hooks {
  std::function<void()> reload;  ///< SIGHUP
  std::function<void()> drain;   ///< SIGTERM or SIGINT; returns when everything is answered and closed
  std::function<bool()> failed;  ///< polled ten times per second; true ends the role with exit code 1
};

/// Serves signals until the role ends, and reports its state to systemd. Returns the exit code.
int serve(signal_watch& signals, const std::string& role, const daemon_hooks& hooks);

}  // namespace cpns::cli
