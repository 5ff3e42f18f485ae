// `cpns server`, `cpns gateway` and `cpns pne`.

#include <boost/json.hpp>
#include <iostream>

#include "actors/pn_gw/gateway_routes.hpp"
#include "actors/pne/pne_routes.hpp"
#include "cli/commands.hpp"
#include "cli/role_api.hpp"
#include "cli/role_client.hpp"
#include "cli/role_process.hpp"

namespace cpns::cli {
namespace {

constexpr const char* signals_text =
    "Signals: SIGTERM finishes the work in progress and ends with 0, a second one ends at once with 1;\n"
    "SIGHUP reads the file again.\n\nExamples:\n";

/// A role with its API, which is destroyed first: it uses the role.
template <class Running>
struct served : Running {
  explicit served(Running r) : Running(std::move(r)) {}
  std::unique_ptr<role_api> api;
};
using served_server = served<running_server>;
using served_gateway = served<running_gateway>;

result<role_handle<config::server_config>> server_handle(const config::server_config& c) {
  warn_of_files("server", "limits.connections", c.limits.connections);
  CPNS_TRY(auto started, start_server(c));
  const auto running = std::make_shared<served_server>(std::move(started));
  auto* role = running->role.get();
  CPNS_TRY(running->api, role_api::start(c.api,
                                         {.role = "server",
                                          .status = [role] { return role->overview(); },
                                          .not_ready = [role] { return role->not_ready(); }},
                                         {}, *running->audit, role->counted()));
  return role_handle<config::server_config>{
      .keep_alive = running,
      .ready_text = "the CPNS Server accepts connections",
      .ready_line = [role]() -> std::optional<std::string> {
        if (!role->listening()) return std::nullopt;
        return role->address();
      },
      .reload =
          [running](const config::server_config& fresh) {
            running->role->reload(fresh);
            running->api->reload(fresh.api);
            reopen_trail(*running->audit);
          },
      .drain = [role](const config::server_config& latest) { role->drain(latest.drain); },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

result<role_handle<config::gateway_config>> gateway_handle(const config::gateway_config& c) {
  CPNS_TRY(auto started, start_gateway(c));
  const auto running = std::make_shared<served_gateway>(std::move(started));
  auto* role = running->role.get();
  CPNS_TRY(running->api, role_api::start(c.api,
                                         {.role = "gateway",
                                          .status = [role] { return role->overview(); },
                                          .not_ready = [role] { return role->not_ready(); }},
                                         actors::gateway_routes(*role), *running->audit, role->counted()));
  return role_handle<config::gateway_config>{
      .keep_alive = running,
      .ready_text = "the PN GW detects PNEs",
      .ready_line = [at = socket_text(c.api)] { return std::optional{at}; },
      .reload =
          [running](const config::gateway_config& fresh) {
            running->role->reload(fresh);
            running->api->reload(fresh.api);
            reopen_trail(*running->audit);
          },
      .drain =
          [running](const config::gateway_config&) {
            running->api.reset();
            running->role->drain();
          },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

struct running_pne {
  std::unique_ptr<actors::pne_role> role;
  std::unique_ptr<audit::trail> audit;
  std::unique_ptr<role_api> api;  // destroyed first: it uses the role
};

result<role_handle<config::pne_config>> pne_handle(const config::pne_config& c) {
  const auto running = std::make_shared<running_pne>();
  CPNS_TRY(running->role, start_pne(c));
  CPNS_TRY(running->audit, open_running_trail(c));
  auto* role = running->role.get();
  CPNS_TRY(running->api, role_api::start(c.api,
                                         {.role = "pne",
                                          .status = [role] { return role->overview(); },
                                          .not_ready = [role] { return role->not_ready(); }},
                                         actors::pne_routes(*role), *running->audit, role->counted()));
  return role_handle<config::pne_config>{
      .keep_alive = running,
      .ready_text = "the devices are powered on",
      .ready_line = [role] { return std::optional{std::to_string(role->devices()) + " devices"}; },
      .reload =
          [running](const config::pne_config& fresh) {
            running->api->reload(fresh.api);
            reopen_trail(*running->audit);
          },
      .drain =
          [running](const config::pne_config&) {
            running->api.reset();
            running->role->drain();
          },
      .failed = [role] { return role->failed(); }};
}

/// `cpns pne wake` and its siblings.
int command_pne(const std::string& file, const std::string& what, const std::string& entity) {
  const auto config = config::load_pne(file);
  if (!config) return report_diagnostics(config.error().lines());
  auto role = connect_role(config->api);
  if (!role) return report(role.error());
  if (what == "list") {
    const auto answer = ask_role(*role, api::verb::get, "/v1/devices");
    if (!answer) return report(answer.error());
    std::cout << boost::json::serialize(*answer) << "\n";
    return exit_done;
  }
  if (const auto done = command_devices(*role, what, entity); !done) return report(done.error());
  std::cout << "done\n";
  return exit_done;
}

}  // namespace

void add_server(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("server", "Run the CPNS Server: verifies users, generates and stores EUKeys");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The server's YAML file")->required();
  c->footer(signals_text + std::string{"  cpns init trial && cpns server --config trial/server.yaml"});
  c->callback([file, &code] {
    code = run_role(
        "server", *file, [](const std::string& f) { return config::load_server(f); }, server_handle);
  });
}

void add_gateway(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("gateway",
                               "Run a PN GW: detects PNEs, requests their keys, delivers and renews them");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The gateway's YAML file")->required();
  c->footer(signals_text + std::string{"  cpns gateway --config trial/gateway.yaml\n"
                                       "  cpns pnes list --config trial/gateway.yaml"});
  c->callback([file, &code] {
    code = run_role(
        "gateway", *file, [](const std::string& f) { return config::load_gateway(f); }, gateway_handle);
  });
}

void add_pne(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("pne", "Run one or many PNEs in one process, or command a running one");
  struct options {
    std::string file, entity;
  };
  const auto o = std::make_shared<options>();
  c->add_option("--config", o->file, "The YAML file of the PNEs")->required();
  c->require_subcommand(0, 1);
  c->footer("Runs the PNEs unless a subcommand is given. " + std::string{signals_text} +
            "  cpns pne --config trial/pne.yaml\n"
            "  cpns pne --config trial/pne.yaml wake urn:dev:mac:0024befffe804ff1");
  for (const auto& [name, text] : {std::pair{"sleep", "Put a running PNE to sleep"},
                                   {"wake", "Wake a PNE up"},
                                   {"button", "Press the button of a PNE"},
                                   {"reset", "Reset a PNE to factory settings: it erases its keys"},
                                   {"list", "List the PNEs of the process"}}) {
    auto* sub = c->add_subcommand(name, text);
    sub->add_option("ENTITY", o->entity, "The Entity ID; without it: all PNEs of the process");
    sub->footer(std::string{"Examples:\n  cpns pne --config trial/pne.yaml "} + name);
  }
  c->callback([c, o, &code] {
    const auto subs = c->get_subcommands();
    code = subs.empty()
               ? run_role(
                     "pne", o->file, [](const std::string& f) { return config::load_pne(f); }, pne_handle)
               : command_pne(o->file, subs.front()->get_name(), o->entity);
  });
}

}  // namespace cpns::cli
