#include <boost/json.hpp>
#include <iostream>

#include "actors/control.hpp"
#include "cli/role_process.hpp"

namespace cpns::cli {
namespace {

/// One line of JSON: {"do": "wake", "entity": ...} or {"do": "list"}.
std::string answer(actors::pne_role& role, const std::string& line) {
  boost::system::error_code wrong;
  const auto asked = boost::json::parse(line, wrong);
  const auto* o = wrong ? nullptr : asked.if_object();
  const auto text = [o](std::string_view key) -> std::string {
    const auto* v = o == nullptr ? nullptr : o->if_contains(key);
    return v != nullptr && v->is_string() ? std::string{v->get_string().data(), v->get_string().size()}
                                          : std::string{};
  };
  if (text("do") == "list") {
    std::string out = "{\"devices\":[";
    for (const auto& d : role.list()) out += (out.back() == '[' ? "" : ",") + d;
    return out + "]}";
  }
  const auto done = role.command(text("do"), text("entity"));
  return boost::json::serialize(done ? boost::json::object{{"done", true}}
                                     : boost::json::object{{"error", done.error().detail}});
}

struct running_pne {
  std::unique_ptr<actors::pne_role> role;
  std::unique_ptr<actors::control_server> control;  // goes first
};

result<role_handle<config::pne_config>> pne_handle(const config::pne_config& c) {
  const auto running = std::make_shared<running_pne>();
  CPNS_TRY(running->role, start_pne(c));
  auto* role = running->role.get();
  if (!c.control_socket.empty()) {
    CPNS_TRY(running->control,
             actors::control_server::listen(c.control_socket.string(),
                                            [role](const std::string& line) { return answer(*role, line); }));
  }
  return role_handle<config::pne_config>{
      .keep_alive = running,
      .ready_text = "the devices are powered on",
      .ready_line = [role] { return std::optional{std::to_string(role->devices()) + " devices"}; },
      .reload = [](const config::pne_config&) {},  // the log is all
      .drain =
          [running](const config::pne_config&) {
            running->control.reset();
            running->role->drain();
          },
      .failed = [role] { return role->failed(); }};
}

int tell(const std::string& file, const std::string& what, const std::string& entity) {
  const auto config = config::load_pne(file);
  if (!config) return report_diagnostics(config.error().lines());
  if (config->control_socket.empty()) return report({errc::config_missing, file + " has no control_socket"});
  boost::json::object request{{"do", what}};
  if (!entity.empty()) request["entity"] = entity;
  const auto said = actors::control_call(config->control_socket.string(), boost::json::serialize(request));
  if (!said) return report(said.error());
  std::cout << *said << "\n";
  return said->find("\"error\"") == std::string::npos ? exit_done : exit_failed;
}

}  // namespace

void add_pne(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("pne", "Run one or many PNEs in this process");
  struct options {
    std::string file, entity;
  };
  const auto o = std::make_shared<options>();
  c->add_option("--config", o->file, "The YAML file of the PNEs")->required();
  c->require_subcommand(0, 1);
  c->footer("Without a subcommand the PNEs are run. Signals: SIGTERM drains and ends with 0, a second one "
            "ends at once with 1; SIGHUP reads the file again.\n\nExamples:\n"
            "  cpns pne --config trial/pne.yaml\n  cpns pne --config trial/pne.yaml wake "
            "urn:dev:mac:0024befffe804ff1");
  for (const auto& [name, text] : {std::pair{"sleep", "Put a running PNE to sleep"},
                                   {"wake", "Wake it up"},
                                   {"button", "Press its button"},
                                   {"reset", "Factory reset: it forgets its keys"},
                                   {"list", "List the PNEs of the process"}}) {
    auto* sub = c->add_subcommand(name, text);
    sub->add_option("ENTITY", o->entity, "The Entity ID; all PNEs of the process without it");
    sub->footer(std::string{"Examples:\n  cpns pne --config trial/pne.yaml "} + name);
  }
  c->callback([c, o, &code] {
    const auto subs = c->get_subcommands();
    code = subs.empty()
               ? run_role(
                     "pne", o->file, [](const std::string& f) { return config::load_pne(f); }, pne_handle)
               : tell(o->file, subs.front()->get_name(), o->entity);
  });
}

}  // namespace cpns::cli
