#pragma once
// The configurations of a trial installation, as YAML with comments for people.

#include <string>

#include "cli/trial_folder.hpp"

namespace cpns::cli {

std::string server_yaml(const trial_options& o);
std::string gateway_yaml(const trial_options& o);
std::string pne_yaml(const trial_options& o);

}  // namespace cpns::cli
