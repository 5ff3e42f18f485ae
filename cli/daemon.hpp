#pragma once
// What the three roles share as processes: serving signals, readiness, limits.

#include <functional>
#include <string>

#include "base/result.hpp"
#include "cli/signals.hpp"

namespace cpns::cli {

/// A crash leaves no core file, in which keys and passwords would lie, and nobody but root reads the memory.
void forbid_core_files();

/// Raises the soft limit of open files to the hard one and returns it.
std::uint64_t raise_file_limit();

/// Logs a warning if that many `connections`, which `key` of the YAML allows, do not fit into the files that
/// this process may open.
void warn_of_files(const std::string& role, const std::string& key, std::uint64_t connections);

/// Tells systemd (sd_notify(3)): "READY=1", "STOPPING=1", "RELOADING=1". Does nothing without NOTIFY_SOCKET.
void notify_service_manager(const std::string& state);

struct daemon_hooks {
  std::function<void()> reload;  ///< SIGHUP
  std::function<void()> drain;   ///< SIGTERM or SIGINT; returns when everything is answered and closed
  std::function<bool()> failed;  ///< asked ten times a second; true ends the role with exit code 1
};

/// Serves signals until the role ends. Returns the exit code.
int serve(signal_watch& signals, const std::string& role, const daemon_hooks& hooks);

}  // namespace cpns::cli
