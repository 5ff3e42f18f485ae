#pragma once
// JSON for people: one member per line.

#include <boost/json/value.hpp>
#include <string>

namespace cpns::cli {

/// `v` with two blanks per level and a line end. Lists and objects that fit into a line of `width` bytes stay in it.
std::string indented(const boost::json::value& v, std::size_t width = 100);

}  // namespace cpns::cli
