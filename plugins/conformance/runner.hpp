#pragma once
// Runs each test in a child process, which may crash or hang.

#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {

/// Progress and cancellation of a run. Both may be empty.
struct onlooker {
  /// Called before each test with its index from 0, the number of tests, and its name.
  std::function<void(std::size_t, std::size_t, std::string_view)> begins;
  /// Called twenty times per second. If it returns true, the current test is killed and the run ends; it must then
  /// keep returning true.
  std::function<bool()> cancelled;
};

/// Runs `tests` in order. The children are this executable, started with `check_child_flag`, so main() has to call
/// check_child_main. A breach counts for its rule's test, if `tests` has it. A cancelled run returns fewer
/// outcomes than tests. Temporary files of the plugin and the tests are removed with the run. config_file without a
/// folder for temporary files.
result<std::vector<outcome>> run_all(const subject& on, const std::vector<test>& tests,
                                     const onlooker& who = {});

/// Runs one test in this process, for a debugger. Threads of a hanging plugin stay behind.
result<outcome> run_here(const subject& on, const test& t);

/// The first argument of a process that runs one test.
inline constexpr const char* check_child_flag = "--cpns-check-child";

/// The main function of such a process: argv[2] is the test's name, the rest the subject. Writes the outcome to
/// the original standard output and exits; returns only if the arguments are wrong.
int check_child_main(int argc, char** argv, const std::vector<test>& tests);

}  // namespace cpns::conformance
