#pragma once
// Runs tests, each in a child process that may crash or hang.

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {

/// Both may be empty.
struct onlooker {
  /// Before each test: its place from 0, how many there are, its name.
  std::function<void(std::size_t, std::size_t, std::string_view)> begins;
  /// Asked twenty times a second; true, which it then stays, ends the test that runs, and with it the run.
  std::function<bool()> cancelled;
};

/// Runs `tests` in order. The children are this executable, started with `check_child_flag`, so main() hands
/// those over to check_child_main. A rule that one test saw broken counts for the test that judges it, if
/// that is among them. What was cancelled has no outcome: there are fewer than tests. What the plugin and the
/// tests make in the folder for temporary files goes with the run. config_file without such a folder.
result<std::vector<outcome>> run_all(const subject& on, const std::vector<test>& tests,
                                     const onlooker& who = {});

/// Runs one test in this process, for a debugger. Threads of a plugin that hangs are left behind.
result<outcome> run_here(const subject& on, const test& t);

/// The first argument of a process that runs one test.
inline constexpr const char* check_child_flag = "--cpns-check-child";

/// The whole life of such a process: argv[2] is the test's name, the rest the subject. Writes the outcome to
/// the standard output that it was started with; does not return when it got that far.
int check_child_main(int argc, char** argv, const std::vector<test>& tests);

}  // namespace cpns::conformance
