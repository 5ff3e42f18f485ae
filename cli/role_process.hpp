#pragma once
// The life of a role as a process, the same for all three: read the file, start, say ready, serve signals,
// read the file again.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/ready_file.hpp"
#include "cli/role_setup.hpp"
#include "cli/signals.hpp"

namespace cpns::cli {

/// What run_role has to know of a role that runs. `keep_alive` owns it.
template <class Config>
struct role_handle {
  std::shared_ptr<void> keep_alive;
  std::string ready_text;  ///< for the log
  /// What `ready_file` holds, as soon as the role can be reached; asked until then.
  std::function<std::optional<std::string>()> ready_line;
  std::function<void(const Config& fresh)> reload;  ///< takes over what is reloadable
  std::function<void(const Config& latest)> drain;
  std::function<bool()> failed;
};

/// The words with commas between them.
std::string joined(const std::vector<std::string>& words);

/// Says why a role did not start, with the place in `file` of what a named file is at fault for. Returns the
/// exit code.
int not_started(const std::string& role, const std::string& file, const error& why);

/// `load(file)` reads the configuration, `start(config)` gives a result<role_handle>. Returns the exit code.
template <class Load, class Start>
int run_role(const std::string& role, const std::string& file, Load load, Start start) {
  auto config = load(file);
  if (!config) {
    if (const auto left = config::ready_file_of(file)) remove_stale_ready_file(*left);
    return report_diagnostics(config.error().lines());
  }
  if (const auto logs = log::configure(config->log.settings()); !logs) return report(logs.error());
  block_signals();
  // Made before the role, so that it hears a second signal until all of the role is gone.
  signal_watch signals{role};
  raise_file_limit();
  auto ready = ready_file::claim(config->ready_file);
  if (!ready) return not_started(role, file, ready.error());
  auto handle = start(*config);
  if (!handle) return not_started(role, file, handle.error());
  bool said_ready = false;
  const auto say_ready = [&]() -> status {
    const auto line = handle->ready_line();
    if (!line) return {};
    said_ready = true;
    CPNS_CHECK(ready->write(*line));
    log::info(role, "ready", handle->ready_text, {{"at", *line}});
    return {};
  };
  if (const auto said = say_ready(); !said) return report(said.error());

  auto latest = *config;  // with the first one for what takes a restart: what runs
  const auto reload = [&] {
    auto fresh = load(file);
    if (!fresh) {
      for (const auto& line : fresh.error().lines()) log::error(role, "reload-refused", line);
      return;
    }
    if (const auto logs = log::configure(fresh->log.settings()); !logs)
      log::error(role, "reload-refused", logs.error().message());
    handle->reload(*fresh);
    std::vector<std::string> changed, ignored;
    for (const auto& d : config::differences(latest, *fresh))
      if (d.reloadable) changed.push_back(d.key);
    for (const auto& d : config::differences(*config, *fresh))
      if (!d.reloadable) ignored.push_back(d.key);
    latest = std::move(*fresh);
    log::info(role, "reloaded", "the configuration was read again",
              {{"changed", joined(changed)}, {"ignored_until_restart", joined(ignored)}});
  };
  const auto failed = [&] {
    if (!said_ready)
      if (const auto said = say_ready(); !said) log::error(role, "not-ready", said.error().message());
    return handle->failed();
  };
  const auto drain = [&] {
    ready->remove();
    handle->drain(latest);
  };
  return serve(signals, role, {.reload = reload, .drain = drain, .failed = failed});
}

}  // namespace cpns::cli
