#pragma once
// The plugin under test, and how its two roles find each other.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace cpns::conformance {

using params = std::map<std::string, std::string>;

/// Values may contain {run} (a name of at most 12 bytes), {udp} and {tcp} (free ports on 127.0.0.1) and {folder}
/// (an empty folder). They are replaced for each pair of instances, so that concurrent runs do not find each
/// other.
struct subject {
  std::string file;  ///< absolute path
  params central, peripheral;
  params few_links;                  ///< overrides both so that the plugin declares few links; may be empty
  std::vector<std::string> refused;  ///< "name=value", values that open must refuse
  std::uint64_t seed = 1;
  std::string folder;  ///< parent of each {folder}; a run creates it and removes it with its content
};

/// Parameters of both roles of one pair, with the overrides `over` and all placeholders replaced.
struct meeting {
  params central, peripheral;
};
meeting draw_meeting(const subject& s, const params& over = {});

/// `base`, overridden by the entries of `over`.
params laid_over(params base, const params& over);

/// Splits "name=value" at the first '='; config_usage without '=' or name.
result<std::pair<std::string, std::string>> split_parameter(const std::string& text);

/// Converts a subject to words of a command line, and back.
std::vector<std::string> to_words(const subject& s);
subject from_words(const std::vector<std::string>& words);

}  // namespace cpns::conformance
