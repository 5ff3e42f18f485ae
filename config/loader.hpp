#pragma once
// Reads the configuration files of the roles. Strict: an unknown key, a wrong type, a value out of range and a
// duplicate key are errors. All errors of a file are reported, each with its line and column. Thread-safe.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/diagnostics.hpp"
#include "config/schema.hpp"
#include "config/values.hpp"

namespace cpns::config {

/// Reads a file of at most 1 MiB. Relative paths in it become absolute, starting at the file's folder.
loaded<server_config> load_server(const path& file, const environment& env = process_environment());
loaded<gateway_config> load_gateway(const path& file, const environment& env = process_environment());
loaded<pne_config> load_pne(const path& file, const environment& env = process_environment());

/// Reads the settings of `cpns transport check` for one plugin, as strictly as the files of the roles.
loaded<check_settings> load_check_settings(const path& file, const environment& env = process_environment());

/// As load_server and the others, for a text in memory. `file` is its name in diagnostics.
loaded<server_config> parse_server(const std::string& text, const path& file, const environment& env);
loaded<gateway_config> parse_gateway(const std::string& text, const path& file, const environment& env);
loaded<pne_config> parse_pne(const std::string& text, const path& file, const environment& env);

/// A valid file: everything is checked except plugin parameters and the files that it names.
struct checked_file {
  path file;
  role_kind role = role_kind::server;
  std::variant<server_config, gateway_config, pne_config> config;
  key_places places;
  std::vector<transport_config> transports;  ///< their plugins check the parameters
  std::vector<path> plugin_dirs;
};
/// Loads the file as the role that its `role` key names.
loaded<checked_file> check_file(const path& file, const environment& env = process_environment());

/// The value of `ready_file`, even if the rest of the file is wrong; nullopt if it is not YAML or has none.
std::optional<path> ready_file_of(const path& file, const environment& env = process_environment());

/// One setting that differs between two configurations of a role.
struct difference {
  std::string key;  ///< for example "limits.connections"
  bool reloadable;  ///< a running role applies it at SIGHUP
};
std::vector<difference> differences(const server_config& before, const server_config& after);
std::vector<difference> differences(const gateway_config& before, const gateway_config& after);
std::vector<difference> differences(const pne_config& before, const pne_config& after);

}  // namespace cpns::config
