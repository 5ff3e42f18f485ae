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
  auto config = config::load_server(file);
  if (!config) return report_problems(config.error().lines());
  if (const auto logs = log::configure(config->log.settings()); !logs) return report(logs.error());
  block_signals();
  raise_file_limit();
  auto running = start_server(*config);
  if (!running) {
    log::error("server", "not-started", running.error().message());
    return report(running.error());
  }
  const auto& role = running->role;
  log::info("server", "ready", "the CPNS Server takes connections", {{"listen", role->address()}});
  if (!config->ready_file.empty())
    if (const auto wrote = write_ready_file(config->ready_file.string(), role->address()); !wrote)
      return report(wrote.error());

  const auto reload = [&] {
    auto fresh = config::load_server(file);
    if (!fresh) {
      for (const auto& line : fresh.error().lines()) log::error("server", "reload-refused", line);
      return;
    }
    if (const auto logs = log::configure(fresh->log.settings()); !logs)
      log::error("server", "reload-refused", logs.error().message());
    const auto r = role->reload(*fresh);
    log::info("server", "reloaded", "the configuration was read again",
              {{"changed", joined(r.changed)}, {"ignored_until_restart", joined(r.ignored)}});
  };
  return serve("server", {.reload = reload,
                          .drain = [&] { role->drain(config->drain); },
                          .failed = [&] { return role->failed(); }});
}

}  // namespace

void add_server(CLI::App& app, int& code) {
  auto* c = app.add_subcommand("server", "Run the CPNS Server: verifies users, makes and keeps EUKeys");
  const auto file = std::make_shared<std::string>();
  c->add_option("--config", *file, "The server's YAML file")->required();
  c->footer("Signals: SIGTERM drains and ends with 0, SIGHUP reads the file again.\n\nExamples:\n  cpns init "
            "trial && cpns server --config trial/server.yaml");
  c->callback([file, &code] { code = run(*file); });
}

}  // namespace cpns::cli
