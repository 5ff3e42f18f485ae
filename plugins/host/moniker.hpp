#pragma once
// A transport as named on a command line: PLUGIN[:ADDRESS][,NAME=VALUE]...
//   tcp    tcp:127.0.0.1:7000,mtu=200    ./libradio.so:/run/radio.sock    loopback:,seed=7

#include <map>
#include <string>

#include "plugins/host/description.hpp"

namespace cpns::plugins {

struct moniker {
  std::string plugin;   ///< a name, or a path (contains a '/')
  std::string address;  ///< empty: none; commas belong to it up to the first NAME=VALUE
  std::map<std::string, std::string> params;
};

/// config_usage with the fault.
result<moniker> parse_moniker(const std::string& text);

/// The parameters of one role: the address becomes the value of the plugin's address parameter, and parameters
/// that exist only in the other role are left out. A plugin without a list gets all parameters and cannot have an
/// address. config_usage.
result<std::map<std::string, std::string>> params_of(const moniker& m, const plugin_description& plugin,
                                                     transport_role role);

}  // namespace cpns::plugins
