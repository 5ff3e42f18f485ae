#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "actors/radio.hpp"
#include "cli/allocator.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/doctor/doctor.hpp"
#include "cli/transport_check.hpp"
#include "plugins/conformance/runner.hpp"
#include "plugins/host/loader.hpp"
#include "plugins/isolation/process.hpp"

namespace {

/// Of commands that work with keys for long.
bool holds_keys(std::string_view command) {
  constexpr std::array<std::string_view, 5> all{"server", "gateway", "pne", "demo", "keys"};
  return std::find(all.begin(), all.end(), command) != all.end();
}

}  // namespace

int main(int argc, char** argv) {
  using namespace cpns;
  if (argc > 1 && holds_keys(argv[1])) cli::bind_libraries_at_once(argv);
  cli::forbid_core_files();
  cli::write_log_before_terminate();
  if (argc > 1 && std::strcmp(argv[1], plugins::probe_child_flag) == 0)
    return plugins::probe_child_main(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], plugins::isolation::radio_child_flag) == 0)
    return plugins::isolation::radio_child_main(argc, argv);
  if (argc > 1 && std::strcmp(argv[1], conformance::check_child_flag) == 0) {
    cli::give_memory_back_without_a_thread();
    return conformance::check_child_main(argc, argv, cli::transport_tests());
  }

  CLI::App app{"Key assignment for devices without a screen (OMA CPNS)", "cpns"};
  app.set_version_flag("--version", std::string{CPNS_VERSION});
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 invalid command line, 130 interrupted.\n\nExamples:\n"
      "  cpns demo\n  cpns init trial\n  cpns server --config trial/server.yaml\n  cpns COMMAND --help");
  int code = cli::exit_done;
  for (const auto add :
       {cli::add_demo, cli::add_init, cli::add_server, cli::add_gateway, cli::add_pne, cli::add_pnes,
        cli::add_ca, cli::add_user, cli::add_device, cli::add_batch, cli::add_entity, cli::add_gateways,
        cli::add_status, cli::add_log, cli::add_keys, cli::add_store, cli::add_audit, cli::add_transport})
    add(app, code);
  const auto side_of = [](config::role_kind role) {
    using enum plugins::transport_role;
    return role == config::role_kind::gateway ? central : peripheral;
  };
  const cli::radio_check check = [side_of](const auto& t, const auto& dirs, config::role_kind role) {
    return actors::check_radio(t, dirs, side_of(role));
  };
  cli::add_config(app, code, check);
  const auto describe = [side_of](const config::transport_config& t, const std::vector<config::path>& dirs,
                                  config::role_kind role) -> result<cli::doctor::radio_facts> {
    CPNS_TRY(const auto plugin, actors::describe_radio(t, dirs, side_of(role)));
    return cli::doctor::radio_facts{plugin.name, plugins::with_presets(plugin, side_of(role), t.params)};
  };
  const cli::doctor::tools tools{check,
                                 [side_of](const auto& t, const auto& dirs, config::role_kind role) {
                                   return actors::try_radio(t, dirs, side_of(role));
                                 },
                                 describe};
  cli::add_doctor(app, code, tools);
  cli::add_support_bundle(app, code, tools, CPNS_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? cli::exit_done : cli::exit_usage;
  }
  return code;
}
