#pragma once
// A part of a test in a process of its own.

#include <sys/wait.h>
#include <unistd.h>

namespace cpns::test {

/// Runs `act` in a new process and returns its exit code: a forked process must not inherit the threads of a store that
/// this one opened. 99: `act` threw. 98: the process was killed.
template <class Act>
int in_process(Act act) {
  const auto pid = ::fork();
  if (pid == 0) {
    int code = 99;
    try {
      code = act();
    } catch (...) {
    }
    ::_exit(code);
  }
  int outcome = 0;
  ::waitpid(pid, &outcome, 0);
  return WIFEXITED(outcome) ? WEXITSTATUS(outcome) : 98;
}

}  // namespace cpns::test
