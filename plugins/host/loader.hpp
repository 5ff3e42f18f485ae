#pragma once
// Finds, probes and loads radio plugins. A loaded one stays loaded until the process ends.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugins/host/transport.hpp"

namespace cpns::plugins {

struct transport_spec {
  std::string plugin;  ///< a name ("tcp", looked for in the folders), or a path that ends in ".so"
  plugins::role role = plugins::role::central;
  std::map<std::string, std::string> params;
  std::vector<std::filesystem::path> plugin_dirs;  ///< searched first; then ../lib/cpns/transports beside the program
};

/// The file of a plugin. plugin_load names the folders that were searched.
result<std::filesystem::path> find_plugin(const transport_spec& spec);

/// Probes the plugin in a child process (probe.hpp), then loads it and opens an instance. plugin_load, plugin_incompatible,
/// plugin_crashed, plugin_hung, plugin_failed, plugin_misbehaved or config_range (a parameter); one line that names the file.
result<std::unique_ptr<transport>> load_transport(const transport_spec& spec, transport_listener& listener);

/// Without the probe: for the probing child itself, and for a debugger.
result<std::unique_ptr<transport>> load_unprobed(const transport_spec& spec, bool probe, transport_listener& listener);

}  // namespace cpns::plugins
