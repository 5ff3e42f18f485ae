#pragma once
// A command as it is typed: its output and its exit code.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/commands.hpp"

namespace cpns::test {

struct typed_outcome {
  int code = -1;
  std::string out, err;
};

/// Runs `cpns` with these arguments. `add(app, code)` declares the subcommands that the test needs.
template <class Add>
typed_outcome type_command(std::vector<std::string> args, Add add) {
  CLI::App app{"cpns"};
  app.require_subcommand(1);
  typed_outcome o;
  add(app, o.code);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  try {
    std::reverse(args.begin(), args.end());  // CLI11 takes a vector in reverse
    app.parse(args);
  } catch (const CLI::ParseError& e) {
    o.code = app.exit(e) == 0 ? cli::exit_done : cli::exit_usage;
  }
  o.out = testing::internal::GetCapturedStdout();
  o.err = testing::internal::GetCapturedStderr();
  return o;
}

}  // namespace cpns::test
