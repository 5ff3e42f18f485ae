#pragma once
// The configurations of a trial installation, as YAML with comments for people.

#include <string>

#include "cli/home.hpp"

namespace cpns::cli {

std::string server_yaml(const home_options& o);
std::string gateway_yaml(const home_options& o);
std::string pne_yaml(const home_options& o);

}  // namespace cpns::cli
