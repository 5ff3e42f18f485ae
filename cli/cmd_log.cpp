// `cpns log`: the log levels of a running role.

#include <boost/json.hpp>
#include <iostream>

#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/role_client.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli {
namespace {

struct log_options {
  role_options role{.role = std::nullopt};
  std::string level, component;
  bool json = false;
};

using log_request = tl::expected<boost::json::value, api::problem> (*)(api::client&, const log_options&);

tl::expected<boost::json::value, api::problem> ask_for_levels(api::client& role, const log_options&) {
  return ask_role(role, api::verb::get, "/v1/log");
}

tl::expected<boost::json::value, api::problem> set_level(api::client& role, const log_options& o) {
  boost::json::object wanted{{"level", o.level}};
  if (!o.component.empty()) wanted["component"] = o.component;
  return ask_role(role, api::verb::put, "/v1/log", wanted);
}

tl::expected<boost::json::value, api::problem> reset_levels(api::client& role, const log_options&) {
  return ask_role(role, api::verb::del, "/v1/log");
}

/// The level of each component that has another one than the log, and what became of the lines.
void print_levels(const boost::json::object& now) {
  const auto level = member_text(now, "level");
  std::cout << "level             " << level << "\n";
  for (const auto& [name, value] : now.at("components").as_object())
    if (const auto own = member_text(now.at("components").as_object(), std::string{name}.c_str());
        own != level)
      std::cout << "  " << name << std::string(name.size() < 16 ? 16 - name.size() : 1, ' ') << own << "\n";
  std::cout << "lines written     " << member_text(now, "written") << "\nlines dropped     "
            << member_text(now, "dropped") << "\nwrite errors      " << member_text(now, "write_errors")
            << "\n";
}

done_or<int> run_log(const log_options& o, log_request ask) {
  CPNS_TRY(auto role, connect_role(o.role));
  CPNS_TRY(const auto now, ask(role, o));
  if (o.json)
    print_answer(now);
  else
    print_levels(now.as_object());
  return exit_done;
}

}  // namespace

void add_log(CLI::App& app, int& code) {
  auto* log = app.add_subcommand("log", "Show or change the log levels of a running role");
  log->require_subcommand(1);
  log->footer("Examples:\n  cpns log show --config trial/server.yaml\n"
              "  cpns log level debug --component store --config trial/server.yaml");
  const auto o = std::make_shared<log_options>();
  const auto add = [&](const char* name, const char* help, log_request ask, const std::string& values,
                       const std::string& note) {
    auto* c = log->add_subcommand(name, help);
    add_role_options(*c, o->role);
    c->add_flag("--json", o->json, "Print the answer as JSON");
    const auto example = "log " + std::string{name} + values;
    c->footer(note + "Examples:\n  cpns " + example + " --config trial/server.yaml\n" + url_example(example));
    c->callback([o, ask, &code] {
      const auto done = run_log(*o, ask);
      code = done ? *done : report(done.error());
    });
    return c;
  };
  add("show", "Show the level of the log, and of each component with another one", ask_for_levels, {}, {});
  const std::string note =
      "It takes effect at once and lasts until SIGHUP, a restart or `cpns log reset`. Components:\n  " +
      log::component_list() + "\n\n";
  auto* level = add("level", "Set the level of the log or of one component, until SIGHUP", set_level,
                    " debug --component store", note);
  level->add_option("LEVEL", o->level, "debug, info, warn or error")->required();
  level->add_option("--component", o->component, "Only this component of the role");
  add("reset", "Go back to the levels of the configuration", reset_levels, {}, {});
}

}  // namespace cpns::cli
