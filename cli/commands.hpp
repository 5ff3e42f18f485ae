#pragma once
// The subcommands of cpns, one file each. `add_X` declares a command; its callback runs it and sets the exit
// code.

#include <functional>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/result.hpp"
#include "config/diagnostics.hpp"
#include "config/schema.hpp"

namespace cpns::cli {

/// What the process ends with.
enum exit_code : int { exit_done = 0, exit_failed = 1, exit_usage = 2, exit_interrupted = 130 };

void add_init(CLI::App& app, int& code);
void add_user(CLI::App& app, int& code);
void add_device(CLI::App& app, int& code);
void add_entity(CLI::App& app, int& code);
void add_demo(CLI::App& app, int& code);
void add_server(CLI::App& app, int& code);
void add_gateway(CLI::App& app, int& code);
void add_pne(CLI::App& app, int& code);
void add_pnes(CLI::App& app, int& code);
void add_transport(CLI::App& app, int& code);

/// What is wrong with a transport of a configuration: actors::check_radio, in the program.
using radio_check = std::function<config::diagnostics(
    const config::transport_config&, const std::vector<config::path>& plugin_dirs, config::role_kind)>;
void add_config(CLI::App& app, int& code, const radio_check& radio);

/// Prints "cpns: what is wrong" on standard error; config_usage gives exit_usage, everything else
/// exit_failed.
int report(const error& e);

}  // namespace cpns::cli
