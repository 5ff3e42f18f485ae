#pragma once
// `--param name=value`, any number of times.

#include <map>
#include <string>

#include <CLI/CLI.hpp>

namespace cpns::cli {

/// Declares an option that fills `into`, which lives as long as `command`. A name that is given twice has its
/// last value.
void add_parameters(CLI::App& command, const std::string& option, std::map<std::string, std::string>& into,
                    const std::string& help);

}  // namespace cpns::cli
