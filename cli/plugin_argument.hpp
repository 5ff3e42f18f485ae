#pragma once
// A radio plugin on a command line: its name, address and parameters, for a command that runs both roles over it.

#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include "base/result.hpp"
#include "plugins/conformance/subject.hpp"

namespace cpns::cli {

/// `text` is a moniker (plugins/host/moniker.hpp). The parameters of both roles come from the check file
/// (`config`, or without it NAME.check.yaml beside the plugin, if it exists); those of the moniker override them,
/// and `central` and `peripheral` override both. config_usage, with the word of the command line, if the plugin
/// refuses one.
result<conformance::subject> read_plugin_argument(const std::string& text, const std::string& config,
                                                  const conformance::params& central,
                                                  const conformance::params& peripheral);

/// Declares an option `NAME=VALUE`, any number of times, that fills `into`, which must outlive `command`. The last
/// value of a name counts.
void add_parameters(CLI::App& command, const std::string& option, std::map<std::string, std::string>& into,
                    const std::string& help);

}  // namespace cpns::cli
