#pragma once
// Formats outcomes as text, JSON and JUnit, and the list of tests as text, JSON and Markdown.

#include <string>
#include <vector>

#include "plugins/conformance/test.hpp"

namespace cpns::conformance {

/// Common data of all reports.
struct heading {
  std::string plugin;  ///< as it was named on the command line
  std::uint64_t seed = 0;
};

/// One line per test, below it the plugin's log lines if it failed or crashed, then a summary. `paint` colours a
/// verdict's word; may be null.
std::string as_text(const heading& h, const std::vector<outcome>& all,
                    std::string (*paint)(verdict, const std::string& word) = nullptr);
std::string as_json(const heading& h, const std::vector<outcome>& all);
std::string as_junit(const heading& h, const std::vector<outcome>& all);

std::string list_as_text(const std::vector<test>& tests);
std::string list_as_json(const std::vector<test>& tests);
/// The page docs/transport-check.md.
std::string list_as_markdown(const std::vector<test>& tests);

}  // namespace cpns::conformance
