#pragma once
// What this process holds, for tests that look for leaks.

#include <cstddef>
#include <string>

#include "plugins/conformance/bench.hpp"

namespace cpns::conformance {

struct holdings {
  std::size_t threads = 0, files = 0;
};
holdings threads_and_files();
/// "2 more descriptors", in words.
std::string difference(const holdings& before, const holdings& after);
/// Waits until no more is held than before: threads take a moment to end.
bool settles(const holdings& before);

/// Notes a breach of the rule about descriptors or threads and throws test_failed if `what` left any.
void leave_no_more(bench& b, const holdings& before, const std::string& what);

/// Bytes that are allocated and not freed; 0 where that is not known (sanitizers).
std::size_t allocated_bytes();

}  // namespace cpns::conformance
