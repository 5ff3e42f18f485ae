#pragma once
// Signals are asked for, not taken, so that whatever was begun is put down in order.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace cpns::cli {

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and in those that it starts later; ignores SIGPIPE.
/// Called before any thread is started, and before anything is made that would be left behind.
void block_signals();

/// Takes the signals that block_signals blocked, in a thread of its own, for as long as it lives: while a
/// role starts, works, drains and is torn down. The second SIGTERM or SIGINT ends the process at once with 1,
/// whatever its other threads do or wait for. After it SIGTERM and SIGINT do what they do by default. One at
/// a time.
class signal_watch {
 public:
  explicit signal_watch(std::string role);
  ~signal_watch();
  signal_watch(const signal_watch&) = delete;
  signal_watch& operator=(const signal_watch&) = delete;

  /// The next signal, or 0 when none comes within `ms` milliseconds. [thread-safe]
  int next(int ms);
  /// The role ends by itself: the next SIGTERM or SIGINT counts as the second one. [thread-safe]
  void ending();

 private:
  void run();
  void end_at_once();

  const std::string role_;
  std::mutex guard_;
  std::condition_variable came_;
  std::deque<int> waiting_;
  bool asked_to_end_ = false;
  bool over_ = false;
  std::thread thread_;
};

/// Whether SIGINT or SIGTERM came since block_signals.
bool cancelled();

/// Says on standard error that the work was interrupted and `what` became of it; gives exit_interrupted.
int interrupted(const std::string& what);

}  // namespace cpns::cli
