#pragma once
// A process of a test that ends as by SIGKILL.

#include <sys/wait.h>
#include <unistd.h>

namespace cpns::test {

/// Runs `act` in a process of its own. `act` gets a function that ends the process without destructors, and must call it
/// with whether all went well so far. False: it did not go well, or `act` returned. Other threads of the test do not exist in
/// the process.
template <class Act>
bool in_killed_process(Act act) {
  constexpr int good_end = 7, bad_end = 1;
  const auto pid = ::fork();
  if (pid == 0) {
    act([](bool good) { ::_exit(good ? good_end : bad_end); });
    ::_exit(bad_end);
  }
  int ended = 0;
  return pid > 0 && ::waitpid(pid, &ended, 0) == pid && WIFEXITED(ended) && WEXITSTATUS(ended) == good_end;
}

}  // namespace cpns::test
