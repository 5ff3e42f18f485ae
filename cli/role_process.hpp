#pragma once
// A role as a process, the same for all three: read the file, start, report ready, serve signals, reload. The demo
// starts the roles of one process with the same functions.

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/application_keys/key_socket.hpp"
#include "actors/application_keys/offered_keys.hpp"
#include "actors/pn_gw/gateway_role.hpp"
#include "actors/pne/pne_role.hpp"
#include "audit/trail.hpp"
#include "base/log.hpp"
#include "cli/daemon.hpp"
#include "cli/stores.hpp"
#include "cli/terminal.hpp"
#include "config/effective.hpp"
#include "config/loader.hpp"
#include "config/memory_budget.hpp"
#include "server/server.hpp"

namespace cpns::cli {

/// A role with its store; destroyed in the right order.
struct running_server {
  opened_store store;
  std::unique_ptr<audit::trail> audit;
  std::unique_ptr<server::server_role> role;
};
struct running_gateway {
  opened_store store;
  std::unique_ptr<audit::trail> audit;
  std::unique_ptr<actors::gateway_role> role;
};
result<running_server> start_server(const config::server_config& c);
result<running_gateway> start_gateway(const config::gateway_config& c);
result<std::unique_ptr<actors::pne_role>> start_pne(const config::pne_config& c);
/// The key socket of a gateway, which reads `offered`.
struct served_keys {
  std::unique_ptr<actors::offered_keys> offered;
  std::unique_ptr<actors::key_socket> socket;
};
/// Empty without application_keys. The role outlives it.
result<served_keys> serve_keys(const config::gateway_config& c, running_gateway& on);
result<std::unique_ptr<actors::key_socket>> serve_keys(const config::pne_config& c, actors::pne_role& role);
/// The trail of a PNE process whose role runs, which locks the key files.
result<std::unique_ptr<audit::trail>> open_running_trail(const config::pne_config& c);
/// At SIGHUP: opens the file again after a rotation, and logs if that fails.
void reopen_trail(audit::trail& trail);

/// A running role, as run_role drives it.
template <class Config>
struct role_handle {
  std::shared_ptr<void> keep_alive;  ///< owns the role
  audit::trail* trail = nullptr;     ///< of the role, which owns it
  std::string ready_text;            ///< for the log
  /// The first line of `ready_file` as soon as the role can be reached; polled until then.
  std::function<std::optional<std::string>()> ready_line;
  /// Applies the reloadable keys. After an error none of them is applied.
  std::function<status(const Config& fresh)> reload;
  std::function<void(const Config& latest)> drain;
  std::function<bool()> failed;
};

/// Logs how limits.memory is divided, if it is set.
void tell_memory(const std::string& role, const config::memory_parts& parts);

/// The words with commas between them.
std::string joined(const std::vector<std::string>& words);

/// The keys of a file that a running role applies at SIGHUP, with their values as GET /v1/config shows them.
struct changed_settings {
  std::vector<std::string> keys;
  boost::json::object before, after;  ///< all settings
};
/// Calls `apply`, with an intent and an outcome in the trail if a key changed. If the intent cannot be written, `apply` is
/// not called, and this error is returned.
status recorded_reload(audit::trail& trail, const std::string& file, const changed_settings& c,
                       const std::function<status()>& apply);

/// Why a role cannot use `file`: the lines of `cpns config check` that give this reason, or the reason itself.
std::vector<std::string> lines_of(const std::string& file, const error& why);

/// Prints and logs why a role did not start. If a named file is at fault, its key in `file` is given. Returns the
/// exit code.
int not_started(const std::string& role, const std::string& file, const error& why);

/// `load(file)` reads the configuration, `start(config)` returns a result<role_handle>. Returns the exit code.
template <class Load, class Start>
int run_role(const std::string& role, const std::string& file, Load load, Start start) {
  auto config = load(file);
  if (!config) {
    if (const auto stale = config::ready_file_of(file)) remove_stale_ready_file(*stale);
    return report_diagnostics(config.error().lines());
  }
  if (const auto logs = log::configure(config->log.settings()); !logs) return report(logs.error());
  tell_memory(role, parts_of(*config));
  block_signals();
  // Before the role, so that a second signal ends the process until the role is destroyed.
  signal_watch signals{role};
  raise_file_limit();
  auto ready = ready_file::claim(config->ready_file);
  if (!ready) return not_started(role, file, ready.error());
  auto handle = start(*config);
  if (!handle) return not_started(role, file, handle.error());
  bool is_ready = false;
  const auto announce = [&]() -> status {
    const auto line = handle->ready_line();
    if (!line) return {};
    is_ready = true;
    CPNS_CHECK(ready->write(*line));
    log::info(role, "ready", handle->ready_text, {{"at", *line}});
    return {};
  };
  if (const auto done = announce(); !done) return report(done.error());

  auto latest = *config;  // what takes a restart still runs as in `config`
  const auto reload = [&] {
    auto fresh = load(file);
    if (!fresh) {
      for (const auto& line : fresh.error().lines()) log::error(role, "reload-refused", line);
      return;
    }
    std::vector<std::string> ignored;
    for (const auto& d : config::differences(*config, *fresh))
      if (!d.reloadable) ignored.push_back(d.key);
    if (const auto fits = config::keep_memory(*fresh, *config); !fits) {
      for (const auto& line : fits.error().lines()) log::error(role, "reload-refused", line);
      return;
    }
    changed_settings changed{{}, config::effective(latest), config::effective(*fresh)};
    for (const auto& d : config::differences(latest, *fresh))
      if (d.reloadable) changed.keys.push_back(d.key);
    // The log is first: it can be put back.
    const auto apply = [&]() -> status {
      CPNS_CHECK(log::configure(fresh->log.settings()));
      auto done = handle->reload(*fresh);
      if (!done) static_cast<void>(log::configure(latest.log.settings()));
      return done;
    };
    reopen_trail(*handle->trail);
    if (const auto done = recorded_reload(*handle->trail, file, changed, apply); !done) {
      for (const auto& line : lines_of(file, done.error())) log::error(role, "reload-refused", line);
      return;
    }
    latest = std::move(*fresh);
    log::info(role, "reloaded", "the configuration was read again",
              {{"changed", joined(changed.keys)}, {"ignored_until_restart", joined(ignored)}});
  };
  const auto failed = [&] {
    if (!is_ready)
      if (const auto done = announce(); !done) log::error(role, "not-ready", done.error().message());
    return handle->failed();
  };
  const auto drain = [&] {
    ready->remove();
    handle->drain(latest);
  };
  return serve(signals, role, {.reload = reload, .drain = drain, .failed = failed});
}

}  // namespace cpns::cli
