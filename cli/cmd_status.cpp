#include <boost/json.hpp>
#include <iostream>

#include "cli/commands.hpp"
#include "cli/role_client.hpp"
#include "cli/server_access.hpp"

namespace cpns::cli {
namespace {

struct status_options {
  role_options role{.role = std::nullopt};
  bool json = false;
};

std::string value_text(const boost::json::value& v) {
  if (v.is_string()) return {v.get_string().data(), v.get_string().size()};
  return boost::json::serialize(v);
}

/// "name=value name=value"
std::string row_text(const boost::json::object& o) {
  std::string out;
  for (const auto& [key, value] : o)
    out += (out.empty() ? "" : " ") + std::string{key} + "=" + value_text(value);
  return out;
}

/// One line for each member; members of an object in an object are named "outer.inner"; a list has a line for each entry.
void print_members(const boost::json::object& o, const std::string& prefix) {
  constexpr std::size_t width = 28;
  for (const auto& [key, value] : o) {
    const auto name = prefix + std::string{key.data(), key.size()};
    if (const auto* inner = value.if_object()) {
      print_members(*inner, name + ".");
      continue;
    }
    if (const auto* list = value.if_array(); list != nullptr && !list->empty() && list->front().is_object()) {
      for (const auto& entry : *list)
        std::cout << name << std::string(name.size() < width ? width - name.size() : 1, ' ')
                  << (entry.is_object() ? row_text(entry.as_object()) : value_text(entry)) << "\n";
      continue;
    }
    std::cout << name << std::string(name.size() < width ? width - name.size() : 1, ' ') << value_text(value)
              << "\n";
  }
}

done_or<int> run_status(const status_options& o) {
  CPNS_TRY(auto role, connect_role(o.role));
  CPNS_TRY(auto state, ask_role(role, api::verb::get, "/v1/status"));
  CPNS_TRY(const auto health, ask_readiness(role));
  const auto& ready = health.as_object();
  const int code = ready.at("ready").as_bool() ? exit_done : exit_failed;
  if (o.json) {
    state.as_object()["ready"] = ready.at("ready");
    state.as_object()["reasons"] = ready.at("reasons");
    print_answer(state);
    return code;
  }
  print_members(state.as_object(), {});
  std::cout << "ready                       " << (code == exit_done ? "yes" : "no") << "\n";
  for (const auto& why : ready.at("reasons").as_array()) std::cout << "  " << value_text(why) << "\n";
  return code;
}

}  // namespace

void add_status(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("status", "Show the state of a running server, gateway or process of PNEs");
  const auto o = std::make_shared<status_options>();
  add_role_options(*c, o->role);
  c->add_flag("--json", o->json, "Print the answer as JSON");
  c->footer("Exit codes: 0 the role is ready, 1 it is not ready or does not run, 2 invalid command line.\n\n"
            "Examples:\n  cpns status --config trial/server.yaml\n" +
            url_example("status"));
  c->callback([o, &code] {
    const auto done = run_status(*o);
    code = done ? *done : report(done.error());
  });
}

}  // namespace cpns::cli
