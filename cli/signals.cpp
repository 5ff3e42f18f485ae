#include "cli/signals.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <memory>

#include "base/log.hpp"
#include "cli/commands.hpp"

namespace cpns::cli {
namespace {

sigset_t served_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  return set;
}

}  // namespace

void block_signals() {
  const auto set = served_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

signal_watch::signal_watch(std::string role) : role_(std::move(role)), thread_([this] { run(); }) {}

signal_watch::~signal_watch() {
  {
    std::lock_guard lock{guard_};
    over_ = true;
  }
  pthread_kill(thread_.native_handle(), SIGHUP);
  thread_.join();
  sigset_t ends;
  sigemptyset(&ends);
  for (int s : {SIGTERM, SIGINT}) sigaddset(&ends, s);
  pthread_sigmask(SIG_UNBLOCK, &ends, nullptr);
}

void signal_watch::run() {
  const auto set = served_signals();
  for (;;) {
    const int got = sigwaitinfo(&set, nullptr);
    std::unique_lock lock{guard_};
    if (over_) return;
    if (got <= 0) continue;
    if (got == SIGHUP) {
      // One that waits says the same as two.
      if (std::find(waiting_.begin(), waiting_.end(), SIGHUP) == waiting_.end()) waiting_.push_back(got);
    } else if (asked_to_end_) {
      lock.unlock();
      end_at_once();
    } else {
      asked_to_end_ = true;
      waiting_.push_back(got);
    }
    came_.notify_all();
  }
}

/// The line is written by another thread: where the log goes may be what everything waits for.
void signal_watch::end_at_once() {
  struct said {
    std::mutex guard;
    std::condition_variable changed;
    bool done = false;
  };
  const auto line = std::make_shared<said>();
  std::thread{[line, role = role_] {
    log::warn(role, "drain-cut", "a second signal: ending at once");
    std::lock_guard lock{line->guard};
    line->done = true;
    line->changed.notify_all();
  }}.detach();
  std::unique_lock lock{line->guard};
  line->changed.wait_for(lock, std::chrono::milliseconds{200}, [&line] { return line->done; });
  _exit(1);
}

int signal_watch::next(int ms) {
  std::unique_lock lock{guard_};
  came_.wait_for(lock, std::chrono::milliseconds{ms}, [this] { return !waiting_.empty(); });
  if (waiting_.empty()) return 0;
  const int s = waiting_.front();
  waiting_.pop_front();
  return s;
}

void signal_watch::ending() {
  std::lock_guard lock{guard_};
  asked_to_end_ = true;
}

bool cancelled() {
  sigset_t set;
  sigpending(&set);
  return sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1;
}

int interrupted(const std::string& what) {
  std::cerr << "cpns: interrupted, " << what << "\n";
  return exit_interrupted;
}

}  // namespace cpns::cli
