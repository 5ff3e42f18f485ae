#pragma once
// The configuration that a role uses, with all defaults, as JSON. Like the loader and the reference page it visits the
// descriptions of config/describe.hpp, so no setting can be forgotten. A configuration holds no secrets, only the paths
// of files with secrets. [thread-safe]

#include <boost/json/object.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/loader.hpp"
#include "config/schema.hpp"

namespace cpns::config {

/// What a text of a configuration is, for those who must not pass it on.
enum class text_kind : std::uint8_t {
  plain,      ///< a name, a word, a plugin
  user,       ///< a CPNS User ID
  entity,     ///< an Entity ID, or the beginning of Entity IDs and '*'
  uri,        ///< a SAN URI, or the beginning of SAN URIs and '*'
  group,      ///< of the machine; people often have one with their name
  address,    ///< host:port
  file,       ///< an absolute path
  database,   ///< where the database is (host:port, or its socket), or a name in it
  parameter,  ///< of a radio, as its plugin reads it
};
/// Returns the text that is shown in place of `text`.
using text_filter = std::function<std::string(text_kind is, const std::string& text)>;

/// The settings in the order of the reference page, `role` first. Durations and addresses have their form in YAML; a
/// setting without a value is null, or its word ("none").
boost::json::object effective(const server_config& c, const text_filter& shown = {});
boost::json::object effective(const gateway_config& c, const text_filter& shown = {});
boost::json::object effective(const pne_config& c, const text_filter& shown = {});
boost::json::object effective(const checked_file& c, const text_filter& shown = {});

/// Gives `running` the settings of `fresh` that a running role applies at SIGHUP.
void apply_reloadable(server_config& running, const server_config& fresh);
void apply_reloadable(gateway_config& running, const gateway_config& fresh);
void apply_reloadable(pne_config& running, const pne_config& fresh);

/// At SIGHUP limits.memory stays as `running` has it: gives `fresh` this memory, and the limits that follow from it. If what the file
/// sets does not fit into it: diagnostics, and `fresh` is not to be applied. [thread-safe]
loaded<std::monostate> keep_memory(server_config& fresh, const server_config& running);
loaded<std::monostate> keep_memory(gateway_config& fresh, const gateway_config& running);
loaded<std::monostate> keep_memory(pne_config& fresh, const pne_config& running);

/// All files, folders and sockets that a configuration names, absolute.
std::vector<path> named_paths(const server_config& c);
std::vector<path> named_paths(const gateway_config& c);
std::vector<path> named_paths(const pne_config& c);

}  // namespace cpns::config
