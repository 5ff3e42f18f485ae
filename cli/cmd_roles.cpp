// `cpns server`, `cpns gateway` and `cpns pne`.

#include <boost/json.hpp>
#include <iostream>

#include "actors/control.hpp"
#include "cli/commands.hpp"
#include "cli/role_process.hpp"

namespace cpns::cli {
namespace {

constexpr const char* signals_text =
    "Signals: SIGTERM finishes the work in progress and ends with 0, a second one ends at once with 1;\n"
    "SIGHUP reads the file again.\n\nExamples:\n";

result<role_handle<config::server_config>> server_handle(const config::server_config& c) {
  warn_of_files("server", "limits.connections", c.limits.connections);
  CPNS_TRY(auto started, start_server(c));
  const auto running = std::make_shared<running_server>(std::move(started));
  auto* role = running->role.get();
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
            reopen_trail(*running->audit);
          },
      .drain = [role](const config::server_config& latest) { role->drain(latest.drain); },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

result<role_handle<config::gateway_config>> gateway_handle(const config::gateway_config& c) {
  CPNS_TRY(auto started, start_gateway(c));
  const auto running = std::make_shared<running_gateway>(std::move(started));
  auto* role = running->role.get();
  return role_handle<config::gateway_config>{
      .keep_alive = running,
      .ready_text = "the PN GW detects PNEs",
      .ready_line = [at = c.control_socket.empty() ? "no control socket"
                                                   : c.control_socket.string()] { return std::optional{at}; },
      .reload =
          [running](const config::gateway_config& fresh) {
            running->role->reload(fresh);
            reopen_trail(*running->audit);
          },
      .drain = [role](const config::gateway_config&) { role->drain(); },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

/// Answers one request on the control socket of a `pne` process: {"do": "list"}, or {"do": "wake", "entity": ...}.
std::string answer_request(actors::pne_role& role, const std::string& line) {
  boost::system::error_code ec;
  const auto request = boost::json::parse(line, ec);
  const auto* o = ec ? nullptr : request.if_object();
  const auto text = [o](std::string_view key) -> std::string {
    const auto* v = o == nullptr ? nullptr : o->if_contains(key);
    return v != nullptr && v->is_string() ? std::string{v->get_string().data(), v->get_string().size()}
                                          : std::string{};
  };
  if (text("do") == "list") {
    return boost::json::serialize(boost::json::object{{"devices", role.list()}});
  }
  const auto done = role.command(text("do"), text("entity"));
  return boost::json::serialize(done ? boost::json::object{{"done", true}}
                                     : boost::json::object{{"error", done.error().detail}});
}

struct running_pne {
  std::unique_ptr<actors::pne_role> role;
  std::unique_ptr<audit::trail> audit;
  std::unique_ptr<actors::control_server> control;  // destroyed first: it uses the role
};

result<role_handle<config::pne_config>> pne_handle(const config::pne_config& c) {
  const auto running = std::make_shared<running_pne>();
  CPNS_TRY(running->role, start_pne(c));
  CPNS_TRY(running->audit, open_running_trail(c));
  auto* role = running->role.get();
  if (!c.control_socket.empty()) {
    CPNS_TRY(running->control,
             actors::control_server::listen(c.control_socket.string(), [role](const std::string& line) {
               return answer_request(*role, line);
             }));
  }
  return role_handle<config::pne_config>{
      .keep_alive = running,
      .ready_text = "the devices are powered on",
      .ready_line = [role] { return std::optional{std::to_string(role->devices()) + " devices"}; },
      // run_role reloads the log, and nothing else is reloadable.
      .reload = [running](const config::pne_config&) { reopen_trail(*running->audit); },
      .drain =
          [running](const config::pne_config&) {
            running->control.reset();
            running->role->drain();
          },
      .failed = [role] { return role->failed(); }};
}

/// `cpns pne wake` and its siblings.
int command_pne(const std::string& file, const std::string& what, const std::string& entity) {
  const auto config = config::load_pne(file);
  if (!config) return report_diagnostics(config.error().lines());
  if (config->control_socket.empty()) return report({errc::config_missing, file + " has no control_socket"});
  const auto answer = ask_role(config->control_socket.string(), what, entity);
  if (!answer) return report(answer.error());
  std::cout << boost::json::serialize(*answer) << "\n";
  return answer->contains("error") ? exit_failed : exit_done;
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
