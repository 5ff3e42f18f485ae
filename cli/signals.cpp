#include "cli/signals.hpp"

#include <signal.h>

#include <ctime>
#include <iostream>

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

int next_signal(int ms) {
  const auto set = served_signals();
  const timespec wait{ms / 1000, (ms % 1000) * 1'000'000L};
  const int got = sigtimedwait(&set, nullptr, &wait);
  return got > 0 ? got : 0;
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
