#pragma once
// Reads the configuration files of the roles. Strict: an unknown key, a wrong type, a value out of its range,
// a key given twice are errors, and all of them are reported, each with its line and column. Thread-safe; no
// yaml-cpp in sight.

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "config/diagnostics.hpp"
#include "config/places.hpp"
#include "config/schema.hpp"
#include "config/values.hpp"

namespace cpns::config {

/// Reads a file of at most 1 MiB. Relative paths in it are made absolute, relative to the file's folder.
loaded<server_config> load_server(const path& file, const environment& env = process_environment());
loaded<gateway_config> load_gateway(const path& file, const environment& env = process_environment());
loaded<pne_config> load_pne(const path& file, const environment& env = process_environment());

/// What the role loaders do after reading, for text that is at hand. `file` names the text in messages.
loaded<server_config> parse_server(const std::string& text, const path& file, const environment& env);
loaded<gateway_config> parse_gateway(const std::string& text, const path& file, const environment& env);
loaded<pne_config> parse_pne(const std::string& text, const path& file, const environment& env);

/// A file that holds what it may, as far as this room can tell.
struct checked_file {
  path file;
  role_kind role = role_kind::server;
  std::variant<server_config, gateway_config, pne_config> config;
  key_places places;
  std::vector<transport_config> transports;  ///< whose parameters their plugins judge
  std::vector<path> plugin_dirs;
};
/// Loads the file as the role that its `role` key names.
loaded<checked_file> check_file(const path& file, const environment& env = process_environment());

/// The key `ready_file` of a file that may be wrong otherwise; nullopt if it is not YAML, or has none.
std::optional<path> ready_file_of(const path& file, const environment& env = process_environment());

/// One setting that differs between two configurations of a role.
struct difference {
  std::string key;  ///< as in "limits.connections"
  bool reloadable;  ///< a running role takes it over at SIGHUP
};
std::vector<difference> differences(const server_config& before, const server_config& after);
std::vector<difference> differences(const gateway_config& before, const gateway_config& after);
std::vector<difference> differences(const pne_config& before, const pne_config& after);

}  // namespace cpns::config
