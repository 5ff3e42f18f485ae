#pragma once
// The plugin under test, and how its two roles find each other.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace cpns::conformance {

using params = std::map<std::string, std::string>;

/// Values may hold {run} (a name of at most 12 bytes), {udp} and {tcp} (ports that are free on 127.0.0.1) and
/// {folder} (an empty one); they are drawn anew for each meeting of two roles, so that runs at the same time
/// do not meet.
struct subject {
  std::string file;  ///< absolute
  params central, peripheral;
  params few_links;                  ///< laid over both so that the plugin declares few links; may be empty
  std::vector<std::string> refused;  ///< "name=value", each of which open has to refuse
  std::uint64_t seed = 1;
  std::string folder;  ///< where {folder} is made; a run makes it, and removes it with all that is in it
};

/// Parameters of one meeting of both roles, with `over` laid over them and everything drawn.
struct meeting {
  params central, peripheral;
};
meeting draw_meeting(const subject& s, const params& over = {});

/// `base` with the entries of `over` laid over it.
params laid_over(params base, const params& over);

/// "name=value" in two parts; config_usage if there is no '=' or no name.
result<std::pair<std::string, std::string>> split_parameter(const std::string& text);

/// A subject as words of a command line, and back.
std::vector<std::string> to_words(const subject& s);
subject from_words(const std::vector<std::string>& words);

}  // namespace cpns::conformance
