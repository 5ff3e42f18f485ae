#pragma once
// What the programs of the benchmarks have in common.

#include <cstdio>

#include "base/result.hpp"

namespace cpns::bench {

/// Reports the error of a program, if any. The exit code: 0 done, 1 an error.
inline int exit_code(const char* program, const status& done) {
  if (done) return 0;
  std::fprintf(stderr, "%s: %s\n", program, done.error().message().c_str());
  return 1;
}
/// Prints how to call it. The exit code: 2.
inline int usage(const char* text) {
  std::fputs(text, stderr);
  return 2;
}

}  // namespace cpns::bench
