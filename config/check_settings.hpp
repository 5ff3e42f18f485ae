#pragma once
// NAME.check.yaml: how the two roles of a radio plugin find each other when `cpns transport check` tries it.
// What the values may hold stands in docs/transport-check.md.

#include <map>
#include <string>
#include <vector>

#include "config/problems.hpp"
#include "config/values.hpp"

namespace cpns::config {

struct check_settings {
  std::map<std::string, std::string> both, central, peripheral;
  std::map<std::string, std::string> few_links;  ///< so that the plugin declares few links
  std::vector<std::string> refused;              ///< "name=value" that open has to refuse
};

/// Reads a file of at most 1 MiB, as strictly as the configurations of the roles.
loaded<check_settings> load_check_settings(const path& file, const environment& env = process_environment());

}  // namespace cpns::config
