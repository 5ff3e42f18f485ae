#pragma once
// What became of a test.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cpns::conformance {

enum class verdict : std::uint8_t {
  passed,
  failed,   ///< a rule of the interface was broken
  skipped,  ///< it does not apply, or what it needs failed
  crashed,  ///< the plugin took its process with it
  warning,  ///< allowed, and not good
};

std::string_view word_of(verdict v);

/// A rule that was seen broken. `rule` is the name of the test that judges it: that test fails, whichever
/// saw it.
struct breach {
  std::string rule;
  std::string words;  ///< one line: the rule, and what was seen
};

struct outcome {
  std::string test;
  verdict is = verdict::passed;
  std::string reason;  ///< one line; empty for passed
  std::int64_t ms = 0;
  std::vector<breach> breaches;  ///< of all rules, its own among them
  std::vector<std::string> log;  ///< the last lines that the plugin logged
};

/// Whether a plugin with these outcomes may be used.
bool all_well(const std::vector<outcome>& all);

}  // namespace cpns::conformance
