#pragma once
// A transport named on a command line: PLUGIN[:ADDRESS][,NAME=VALUE]...
//   tcp    tcp:127.0.0.1:7000,mtu=200    ./libradio.so:/run/radio.sock    loopback:,seed=7

#include <map>
#include <string>

#include "plugins/host/description.hpp"

namespace cpns::plugins {

struct moniker {
  std::string plugin;   ///< a name, or a path that holds a '/'
  std::string address;  ///< empty: none; commas are part of it up to the first NAME=VALUE
  std::map<std::string, std::string> params;
};

/// config_usage, saying what is wrong.
result<moniker> parse_moniker(const std::string& text);

/// The parameters of one role: the address goes to the one that the plugin declares for it, and what is of
/// the other role alone is left out. A plugin that declares nothing is given everything, and no address.
/// config_usage.
result<std::map<std::string, std::string>> params_of(const moniker& m, const plugin_description& plugin,
                                                     transport_role role);

}  // namespace cpns::plugins
