#pragma once
// A plugin's description, read from its entry without opening it, and checks of a configuration against it.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "plugins/abi/transport.h"
#include "plugins/host/transport.hpp"

namespace cpns::plugins {

/// A copy of a cpns_parameter_spec that owns its strings.
struct parameter_description {
  std::string name, sentence;
  std::uint32_t kind = CPNS_PARAMETER_TEXT;
  std::uint32_t flags = CPNS_PARAMETER_OF_BOTH;
  std::optional<std::string> preset;
  std::uint64_t min = 0, max = 0;
  std::string choices;

  [[nodiscard]] bool is_of(transport_role role) const;
  [[nodiscard]] bool is_address() const { return (flags & CPNS_PARAMETER_IS_ADDRESS) != 0; }
  /// "a number from 23 to 4096", "one of: low medium high".
  [[nodiscard]] std::string form() const;
};

struct plugin_description {
  std::string name, version, description;
  std::uint32_t abi_major = 0, abi_minor = 0;
  bool declares = false;  ///< false: `parameters` is empty because the plugin supplies no list
  std::vector<parameter_description> parameters;
};

/// plugin_misbehaved if a name, kind, bound or preset is invalid.
result<plugin_description> describe(const cpns_transport_entry_t& entry);

struct parameter_diagnostic {
  std::string name;  ///< of the given or missing parameter
  errc code = errc::config_range;
  std::string text;
};
/// All faults in `given` by the plugin's declarations. Empty for a plugin without a list.
std::vector<parameter_diagnostic> check_parameters(const plugin_description& plugin, transport_role role,
                                                   const std::map<std::string, std::string>& given);
/// `given` and the presets of the role's other parameters.
std::map<std::string, std::string> with_presets(const plugin_description& plugin, transport_role role,
                                                std::map<std::string, std::string> given);

/// One value per line, for the pipe between describe_transport and its child.
std::string to_lines(const plugin_description& plugin);
std::optional<plugin_description> from_lines(const std::string& lines);

}  // namespace cpns::plugins
