#pragma once
// The last lines of a role's log, for a support bundle.

#include <boost/json/array.hpp>
#include <filesystem>

#include "api/client.hpp"
#include "cli/bundle/pseudonyms.hpp"

namespace cpns::cli::bundle {

inline constexpr std::size_t lines_max = 400;

/// Of a running role, by its stream of events: level info and above.
boost::json::array lines_of_role(const config::api_config& c, pseudonyms& names);
/// Of a file, in the format json or text; of text lines only time, level, component and event. Empty if it cannot be
/// read.
boost::json::array lines_of_file(const std::filesystem::path& file, pseudonyms& names);

}  // namespace cpns::cli::bundle
