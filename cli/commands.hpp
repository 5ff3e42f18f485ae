#pragma once
// The subcommands of cpns. Each `add_X` declares one; its callback runs the command and sets `code`, the exit
// code.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "cli/terminal.hpp"
#include "config/loader.hpp"

namespace cpns::cli {

void add_init(CLI::App& app, int& code);
void add_ca(CLI::App& app, int& code);
void add_user(CLI::App& app, int& code);
void add_device(CLI::App& app, int& code);
void add_batch(CLI::App& app, int& code);
void add_entity(CLI::App& app, int& code);
void add_gateways(CLI::App& app, int& code);
void add_status(CLI::App& app, int& code);
void add_log(CLI::App& app, int& code);
void add_keys(CLI::App& app, int& code);
/// Of `cpns keys`.
void add_keys_watch(CLI::App& keys, int& code);
void add_keys_render(CLI::App& keys, int& code);
void add_keys_exec(CLI::App& keys, int& code);
void add_store(CLI::App& app, int& code);
/// Of `cpns store`.
void add_store_migrate(CLI::App& store, int& code);
void add_store_verify(CLI::App& store, int& code);
void add_store_transfer(CLI::App& store, int& code);
void add_audit(CLI::App& app, int& code);
void add_demo(CLI::App& app, int& code);
void add_server(CLI::App& app, int& code);
/// `cpns server drain`.
void add_server_drain(CLI::App& server, int& code);
void add_gateway(CLI::App& app, int& code);
void add_pne(CLI::App& app, int& code);
void add_pnes(CLI::App& app, int& code);
void add_transport(CLI::App& app, int& code);

/// Checks a configured transport. The program passes actors::check_radio; the unit tests link no actors and pass a
/// function that finds nothing.
using radio_check = std::function<config::diagnostics(
    const config::transport_config&, const std::vector<config::path>& plugin_dirs, config::role_kind)>;
void add_config(CLI::App& app, int& code, const radio_check& radio);

namespace doctor {
struct tools;
}
void add_doctor(CLI::App& app, int& code, const doctor::tools& with);
/// `version`: of the program.
void add_support_bundle(CLI::App& app, int& code, const doctor::tools& with, const std::string& version);

/// Reads the files that a configuration names as its role would, so that their errors show before its start, each
/// with the place of its key. Writes nothing, keeps no secret. Ignores faults that may pass: the dates of
/// certificates, a user_password_file that is removed after enrolment.
config::diagnostics check_named_files(const config::checked_file& checked);
/// Warnings, which are not errors: certificates of a role that ended, or that end within 30 days of `now`.
config::diagnostics remarks_on_named_files(const config::checked_file& checked, time_point now);

}  // namespace cpns::cli
