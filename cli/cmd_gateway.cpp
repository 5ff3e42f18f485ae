#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/role_setup.hpp"

namespace cpns::cli {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& w : words) out += (out.empty() ? "" : ", ") + w;
  return out;
}

int run(const std::string& file) {
  auto config = config::load_gateway(file);
  if (!config) return report_problems(config.error().lines());
  if (const auto logs = log::configure(config->log.settings()); !logs) return report(logs.error());
  block_signals();
  raise_file_limit();
  auto running = start_gateway(*config);
  if (!running) {
    log::error("gateway", "not-started", running.error().message());
    return report(running.error());
  }
  const auto& role = running->role;
  log::info("gateway", "ready", "the PN GW detects",
            {{"user", "configured"}, {"control_socket", config->control_socket.string()}});
  if (!config->ready_file.empty())
    if (const auto wrote = write_ready_file(config->ready_file.string(), "ready"); !wrote)
      return report(wrote.error());

  const auto reload = [&] {
    auto fresh = config::load_gateway(file);
    if (!fresh) {
      for (const auto& line : fresh.error().lines()) log::error("gateway", "reload-refused", line);
      return;
    }
    if (const auto logs = log::configure(fresh->log.settings()); !logs)
      log::error("gateway", "reload-refused", logs.error().message());
    const auto r = role->reload(*fresh);
    log::info("gateway", "reloaded", "the configuration was read again",
              {{"changed", joined(r.changed)}, {"ignored_until_restart", joined(r.ignored)}});
  };
  return serve("gateway",
               {.reload = reload, .drain = [&] { role->drain(); }, .failed = [&] { return role->failed(); }});
}

}  // namespace

void add_gateway(CLI::App& app, int& code) {
  auto* c =
      app.add_subcommand("gateway", "Run a PN GW: detects PNEs, asks the server, delivers and renews keys");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The gateway's YAML file")->required();
  c->footer("Signals: SIGTERM drains and ends with 0, SIGHUP reads the file again.\n\nExamples:\n  cpns "
            "gateway --config trial/gateway.yaml\n"
            "  cpns pnes list --config trial/gateway.yaml");
  c->callback([file, &code] { code = run(*file); });
}

}  // namespace cpns::cli
