#include "cli/role_process.hpp"

namespace cpns::cli {
namespace {

result<role_handle<config::gateway_config>> gateway_handle(const config::gateway_config& c) {
  CPNS_TRY(auto started, start_gateway(c));
  const auto running = std::make_shared<running_gateway>(std::move(started));
  auto* role = running->role.get();
  return role_handle<config::gateway_config>{
      .keep_alive = running,
      .ready_text = "the PN GW detects",
      .ready_line = [at = c.control_socket.empty() ? "no control socket"
                                                   : c.control_socket.string()] { return std::optional{at}; },
      .reload = [role](const config::gateway_config& fresh) { role->reload(fresh); },
      .drain = [role](const config::gateway_config&) { role->drain(); },
      .failed = [running] { return running->role->failed() || running->store.lost(); }};
}

}  // namespace

void add_gateway(CLI::App& app, int& code) {
  auto* c =
      app.add_subcommand("gateway", "Run a PN GW: detects PNEs, asks the server, delivers and renews keys");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The gateway's YAML file")->required();
  c->footer("Signals: SIGTERM drains and ends with 0, a second one ends at once with 1; SIGHUP reads the "
            "file again.\n\nExamples:\n  cpns "
            "gateway --config trial/gateway.yaml\n"
            "  cpns pnes list --config trial/gateway.yaml");
  c->callback([file, &code] {
    code = run_role(
        "gateway", *file, [](const std::string& f) { return config::load_gateway(f); }, gateway_handle);
  });
}

}  // namespace cpns::cli
