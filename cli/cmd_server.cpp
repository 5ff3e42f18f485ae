#include "cli/role_process.hpp"

namespace cpns::cli {
namespace {

result<role_handle<config::server_config>> server_handle(const config::server_config& c) {
  warn_of_files("server", "limits.connections", c.limits.connections);
  CPNS_TRY(auto started, start_server(c));
  const auto running = std::make_shared<running_server>(std::move(started));
  auto* role = running->role.get();
  return role_handle<config::server_config>{
      .keep_alive = running,
      .ready_text = "the CPNS Server takes connections",
      .ready_line = [role]() -> std::optional<std::string> {
        if (!role->listening()) return std::nullopt;
        return role->address();
      },
      .reload = [role](const config::server_config& fresh) { role->reload(fresh); },
      .drain = [role](const config::server_config& latest) { role->drain(latest.drain); },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

}  // namespace

void add_server(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("server", "Run the CPNS Server: verifies users, makes and keeps EUKeys");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The server's YAML file")->required();
  c->footer("Signals: SIGTERM drains and ends with 0, a second one ends at once with 1; SIGHUP reads the "
            "file again.\n\nExamples:\n  cpns init "
            "trial && cpns server --config trial/server.yaml");
  c->callback([file, &code] {
    code = run_role(
        "server", *file, [](const std::string& f) { return config::load_server(f); }, server_handle);
  });
}

}  // namespace cpns::cli
