#pragma once
// The tests as data.

#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "plugins/conformance/bench.hpp"

namespace cpns::conformance {

struct test {
  std::string_view name;      ///< kebab-case
  std::string_view sentence;  ///< the rule
  std::string_view needs;     ///< skipped unless this test passed; empty: none
  std::chrono::seconds limit;
  /// Throws test_failed or test_skipped; may note breaches in the bench instead.
  void (*run)(bench&);
  bool slow = false;  ///< takes more than a second even without a fault
};

/// All tests, in the order in which they run.
std::vector<test> all_tests();

// Its groups, one file each.
std::span<const test> load_tests();
std::span<const test> declaration_tests();
std::span<const test> open_tests();
std::span<const test> parameter_tests();
std::span<const test> open_together_tests();
std::span<const test> link_tests();
std::span<const test> traffic_tests();
std::span<const test> thread_tests();
std::span<const test> extension_tests();
std::span<const test> close_tests();
std::span<const test> leak_tests();
std::span<const test> fuzz_tests();

}  // namespace cpns::conformance
