#pragma once
// Outcome of a test.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cpns::conformance {

enum class verdict : std::uint8_t {
  passed,
  failed,   ///< a rule of the interface was broken
  skipped,  ///< it does not apply, or a test that it needs did not pass
  crashed,  ///< the plugin ended the test's process
  warning,  ///< allowed, but not recommended
};

std::string_view word_of(verdict v);

/// A broken rule. `rule` is the name of the rule's test: that test fails, even if another one detected the breach.
struct breach {
  std::string rule;
  std::string words;  ///< one line: the rule, and the observation
};

struct outcome {
  std::string test;
  verdict is = verdict::passed;
  std::string reason;  ///< one line; empty for passed
  std::int64_t ms = 0;
  std::vector<breach> breaches;  ///< of all rules, including its own
  std::vector<std::string> log;  ///< the last lines that the plugin logged
};

/// Whether no test failed or crashed.
bool all_well(const std::vector<outcome>& all);

}  // namespace cpns::conformance
