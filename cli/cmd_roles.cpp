// `cpns server`, `cpns gateway` and `cpns pne`.

#include <boost/json.hpp>
#include <cstdio>
#include <iostream>
#include <optional>

#include "actors/pn_gw/gateway_routes.hpp"
#include "actors/pne/pne_routes.hpp"
#include "api/routes.hpp"
#include "cli/admin_api.hpp"
#include "cli/api_changes.hpp"
#include "cli/commands.hpp"
#include "cli/live_configuration.hpp"
#include "cli/live_rewrap.hpp"
#include "cli/radio_text.hpp"
#include "cli/role_api.hpp"
#include "cli/role_client.hpp"
#include "cli/role_process.hpp"
#include "server/batch_routes.hpp"
#include "server/drain_routes.hpp"
#include "server/import_routes.hpp"

namespace cpns::cli {
namespace {

constexpr const char* signals_text =
    "Signals: SIGTERM finishes the work in progress and ends with 0, a second one ends at once with 1;\n"
    "SIGHUP reads the file again.\n\nExamples:\n";

/// A role with its API, which is destroyed first: it uses the role.
template <class Running, class Config>
struct served : Running {
  served(Running r, const Config& c)
      : Running(std::move(r)), configuration(c, this->store.keys()), changes(*this->audit) {}
  live_configuration<Config> configuration;
  api_changes changes;
  std::unique_ptr<role_api> api;
};
/// Imports write lines of their decisions, so they stop before `changes` is destroyed.
struct served_server : served<running_server, config::server_config> {
  using served::served;
  ~served_server() {
    if (role) role->imports().stop();
  }
  served_server(const served_server&) = delete;
  served_server& operator=(const served_server&) = delete;
};
struct served_gateway : served<running_gateway, config::gateway_config> {
  using served::served;
  served_keys keys;
};

/// The routes of a role with those of its data keys.
template <class Config>
std::vector<api::route> with_rewrap(std::vector<api::route> own, config::role_kind role, const Config& c,
                                    const std::string& file, storage::key_changer& keys) {
  own.push_back(rewrap_route(live_rewrap_of(role, c, file, keys)));
  return own;
}

/// Administration, imports of devices, and the drain.
std::vector<api::route> server_routes(served_server& running) {
  const auto parts = admin_parts_of(running.store.sealed());
  auto out = server::admin_routes(running.role->admin(), parts);
  for (auto& r : server::batch_routes(running.role->admin(), parts.batch)) out.push_back(std::move(r));
  for (auto& r : server::import_routes(running.role->imports())) out.push_back(std::move(r));
  auto* role = running.role.get();
  for (auto& r : server::drain_routes(role->leaving(), [role] { return role->drain_limit(); }))
    out.push_back(std::move(r));
  return out;
}

result<role_handle<config::server_config>> server_handle(const config::server_config& c,
                                                         const std::string& file) {
  warn_of_files("server", "limits.connections", c.limits.connections);
  CPNS_TRY(auto started, start_server(c));
  const auto running = std::make_shared<served_server>(std::move(started), c);
  auto* role = running->role.get();
  role->imports().record_in(&running->changes);  // before the first request can decide one
  CPNS_TRY(running->api,
           role_api::start(c.api,
                           {.role = "server",
                            .status = [role] { return role->overview(); },
                            .not_ready = [role] { return role->not_ready(); },
                            .configuration = [of = &running->configuration] { return of->json(); }},
                           with_rewrap(server_routes(*running), config::role_kind::server, c, file,
                                       running->store.keys()),
                           *running->audit, running->changes, role->counted()));
  return role_handle<config::server_config>{
      .keep_alive = running,
      .trail = running->audit.get(),
      .ready_text = "the CPNS Server accepts connections",
      .ready_line = [role]() -> std::optional<std::string> {
        if (!role->listening()) return std::nullopt;
        return role->address();
      },
      .reload = [running](const config::server_config& fresh) -> status {
        CPNS_CHECK(running->api->reload(fresh.api));
        running->role->reload(fresh);
        running->configuration.reload(fresh);
        return {};
      },
      .drain = [role](const config::server_config& latest) { role->drain(latest.drain); },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

result<role_handle<config::gateway_config>> gateway_handle(const config::gateway_config& c,
                                                           const std::string& file) {
  CPNS_TRY(auto started, start_gateway(c));
  const auto running = std::make_shared<served_gateway>(std::move(started), c);
  auto* role = running->role.get();
  CPNS_TRY(running->api,
           role_api::start(c.api,
                           {.role = "gateway",
                            .status = [role] { return role->overview(); },
                            .not_ready = [role] { return role->not_ready(); },
                            .configuration = [of = &running->configuration] { return of->json(); }},
                           with_rewrap(actors::gateway_routes(*role), config::role_kind::gateway, c, file,
                                       running->store.keys()),
                           *running->audit, running->changes, role->counted()));
  CPNS_TRY(running->keys, serve_keys(c, *running));
  return role_handle<config::gateway_config>{
      .keep_alive = running,
      .trail = running->audit.get(),
      .ready_text = "the PN GW detects PNEs",
      .ready_line = [at = socket_text(c.api)] { return std::optional{at}; },
      .reload = [running](const config::gateway_config& fresh) -> status {
        CPNS_CHECK(running->role->check(fresh));
        CPNS_CHECK(running->api->reload(fresh.api));
        running->role->reload(fresh);
        running->configuration.reload(fresh);
        return {};
      },
      .drain =
          [running](const config::gateway_config&) {
            running->role->programs().close();  // the programs end before the radios do
            running->keys.socket.reset();
            running->api.reset();
            running->role->drain();
          },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

struct running_pne {
  std::unique_ptr<actors::pne_role> role;
  std::unique_ptr<audit::trail> audit;
  std::optional<live_configuration<config::pne_config>> configuration;
  std::optional<api_changes> changes;
  std::unique_ptr<role_api> api;  // destroyed before the role, which it uses
  std::unique_ptr<actors::key_socket> keys;
};

result<role_handle<config::pne_config>> pne_handle(const config::pne_config& c, const std::string& file) {
  const auto running = std::make_shared<running_pne>();
  CPNS_TRY(running->role, start_pne(c));
  CPNS_TRY(running->audit, open_running_trail(c));
  auto* role = running->role.get();
  running->configuration.emplace(c, role->keys());
  running->changes.emplace(*running->audit);
  CPNS_TRY(
      running->api,
      role_api::start(c.api,
                      {.role = "pne",
                       .status = [role] { return role->overview(); },
                       .not_ready = [role] { return role->not_ready(); },
                       .configuration = [of = &*running->configuration] { return of->json(); }},
                      with_rewrap(actors::pne_routes(*role), config::role_kind::pne, c, file, role->keys()),
                      *running->audit, *running->changes, role->counted()));
  CPNS_TRY(running->keys, serve_keys(c, *role));
  return role_handle<config::pne_config>{
      .keep_alive = running,
      .trail = running->audit.get(),
      .ready_text = "the devices are powered on",
      .ready_line = [role] { return std::optional{std::to_string(role->devices()) + " devices"}; },
      .reload = [running](const config::pne_config& fresh) -> status {
        CPNS_CHECK(running->api->reload(fresh.api));
        running->configuration->reload(fresh);
        return {};
      },
      .drain =
          [running](const config::pne_config&) {
            running->keys.reset();
            running->api.reset();
            running->role->drain();
          },
      .failed = [role] { return role->failed(); }};
}

int show_radios(api::client& role, bool json) {
  const auto got = ask_role(role, api::verb::get, "/v1/radios");
  if (!got) return report(got.error());
  if (json)
    std::cout << boost::json::serialize(*got) << "\n";
  else
    print_radios(*got);
  return exit_done;
}

/// `cpns pne wake` and its siblings.
int command_pne(const role_options& o, const std::string& what, const std::string& entity, bool json) {
  auto role = connect_role(o);
  if (!role) return report(role.error());
  if (what == "radios") return show_radios(*role, json);
  if (what == "list")
    return print_all(pages_of(*role, "/v1/devices?prefix=" + api::encode_percent(entity)), "devices", json,
                     "ENTITY                                   AWAKE  LINKS  KEY FILE",
                     [](const boost::json::object& row) {
                       std::printf("%-40s %-6s %-6s %s\n", text_of(row, "entity").c_str(),
                                   text_of(row, "awake").c_str(), text_of(row, "links").c_str(),
                                   row.contains("key_file") ? "unreadable" : "ok");
                     });
  if (const auto done = command_devices(*role, what, entity); !done) return report(done.error());
  std::cout << (json ? "{\"done\":true}" : "done") << "\n";
  return exit_done;
}

}  // namespace

void add_server(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("server", "Run the CPNS Server: verifies users, generates and stores EUKeys");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The server's YAML file; required to run it");
  c->require_subcommand(0, 1);
  c->footer("Runs the server unless a subcommand is given. " + std::string{signals_text} +
            "  cpns server --config trial/server.yaml\n"
            "  cpns server drain --config trial/server.yaml");
  add_server_drain(*c, code);
  c->callback([c, file, &code] {
    if (!c->get_subcommands().empty()) return;  // it has a callback of its own
    if (file->empty()) throw CLI::RequiredError("--config");
    code = run_role(
        "server", *file, [](const std::string& f) { return config::load_server(f); },
        [&file](const config::server_config& loaded) { return server_handle(loaded, *file); });
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
        "gateway", *file, [](const std::string& f) { return config::load_gateway(f); },
        [&file](const config::gateway_config& loaded) { return gateway_handle(loaded, *file); });
  });
}

void add_pne(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("pne", "Run one or many PNEs in one process, or command a running one");
  struct options {
    role_options role{.role = config::role_kind::pne};
    std::string entity;
    bool json = false;
  };
  const auto o = std::make_shared<options>();
  add_role_options(*c, o->role, "its API socket; required to run them");
  c->require_subcommand(0, 1);
  c->footer("Runs the PNEs unless a subcommand is given. " + std::string{signals_text} +
            "  cpns pne --config trial/pne.yaml\n"
            "  cpns pne wake urn:dev:mac:0024befffe804ff1 --config trial/pne.yaml");
  for (const auto& [name, text] :
       {std::pair{"sleep", "Put a running PNE to sleep"},
        {"wake", "Wake a PNE up"},
        {"button", "Press the button of a PNE"},
        {"reset", "Reset a PNE to factory settings: it erases its keys"},
        {"list", "List the PNEs of the process"},
        {"radios", "Show the radios of the process: state, counters, and links"}}) {
    auto* sub = c->add_subcommand(name, text);
    const std::string command{name};
    if (command != "radios")
      sub->add_option("ENTITY", o->entity,
                      command == "list" ? "The beginning of Entity IDs; without it: all PNEs of the process"
                                        : "The Entity ID; without it: all PNEs of the process");
    sub->add_flag("--json", o->json, "Print the answer as JSON");
    sub->fallthrough();  // the options of `cpns pne` may stand behind the subcommand, too
    sub->footer("Examples:\n  cpns pne " + command + " --config trial/pne.yaml");
  }
  c->callback([c, o, &code] {
    const auto subs = c->get_subcommands();
    if (!subs.empty()) {
      code = command_pne(o->role, subs.front()->get_name(), o->entity, o->json);
      return;
    }
    if (o->role.config.empty()) throw CLI::RequiredError("--config");
    if (o->role.remote() || !o->role.socket.empty())
      throw CLI::ValidationError("--url, --socket",
                                 "are for the subcommands; leave them out to run the PNEs");
    code = run_role(
        "pne", o->role.config, [](const std::string& f) { return config::load_pne(f); },
        [o](const config::pne_config& loaded) { return pne_handle(loaded, o->role.config); });
  });
}

}  // namespace cpns::cli
