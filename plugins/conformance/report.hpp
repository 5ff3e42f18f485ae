#pragma once
// Outcomes as text, JSON, JUnit; the list of tests as text, JSON, Markdown.

#include <string>
#include <vector>

#include "plugins/conformance/test.hpp"

namespace cpns::conformance {

/// What all reports begin with.
struct heading {
  std::string plugin;  ///< as it was named on the command line
  std::uint64_t seed = 0;
};

/// A line a test, below it what the plugin logged if it failed or crashed, then a summary. `paint` colours a
/// verdict's word; it may be empty.
std::string as_text(const heading& h, const std::vector<outcome>& all,
                    std::string (*paint)(verdict, const std::string& word) = nullptr);
std::string as_json(const heading& h, const std::vector<outcome>& all);
std::string as_junit(const heading& h, const std::vector<outcome>& all);

std::string list_as_text(const std::vector<test>& tests);
std::string list_as_json(const std::vector<test>& tests);
/// docs/transport-check.md.
std::string list_as_markdown(const std::vector<test>& tests);

}  // namespace cpns::conformance
