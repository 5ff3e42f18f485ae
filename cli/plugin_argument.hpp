#pragma once
// A radio plugin as it is named on a command line, and how its two roles find each other.

#include <string>

#include "base/result.hpp"
#include "plugins/conformance/subject.hpp"

namespace cpns::cli {

/// `text` is a moniker (plugins/host/moniker.hpp). The parameters of both roles are those of the check file
/// (`config`, or without it NAME.check.yaml beside the plugin, if there is one), of the moniker over them,
/// and `central` and `peripheral` over all. config_usage, with the word of the command line that holds it, if
/// the plugin refuses a parameter that stands there.
result<conformance::subject> read_plugin_argument(const std::string& text, const std::string& config,
                                                  const conformance::params& central,
                                                  const conformance::params& peripheral);

}  // namespace cpns::cli
