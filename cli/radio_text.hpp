#pragma once
// The radios of a role as text, for `cpns pnes radios` and `cpns pne radios`.

#include <boost/json/value.hpp>

namespace cpns::cli {

/// Prints an answer to GET /v1/radios on standard output.
void print_radios(const boost::json::value& answer);

}  // namespace cpns::cli
