#pragma once
// Resources of this process, for tests that look for leaks.

#include <cstddef>
#include <string>

#include "plugins/conformance/bench.hpp"

namespace cpns::conformance {

struct holdings {
  std::size_t threads = 0, files = 0;
};
holdings threads_and_files();
/// "2 more descriptors and no more threads".
std::string difference(const holdings& before, const holdings& after);
/// Waits until no more is held than before, because threads take a moment to end. False after 5 s.
bool settles(const holdings& before);

/// If `what` left descriptors or threads behind: notes the breach and throws test_failed.
void leave_no_more(bench& b, const holdings& before, const std::string& what);

/// Bytes currently allocated; 0 if unknown (with sanitizers).
std::size_t allocated_bytes();

}  // namespace cpns::conformance
