#pragma once
// Where the keys of a configuration file stand.

#include <map>
#include <string>
#include <string_view>

#include "config/problems.hpp"

namespace cpns::config {

/// Where the keys of a file stand, by their full names, as in "keys.lifetime"; "" is the file itself.
using key_places = std::map<std::string, mark, std::less<>>;
/// The place of a key, or of the nearest section around it.
mark place_in(const key_places& places, std::string_view key);

}  // namespace cpns::config
