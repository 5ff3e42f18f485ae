#pragma once
// Finds, probes, loads and opens plugins. A plugin runs in this process, so it is probed in a child process first.

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "plugins/host/checked_transport.hpp"
#include "plugins/host/description.hpp"

namespace cpns::plugins {

/// Which plugin, for which side, with which parameters.
struct transport_spec {
  std::string plugin;  ///< a name ("tcp": NAME.so in plugin_dirs) or a path (contains a '/')
  transport_role role = transport_role::central;
  std::map<std::string, std::string> params;  ///< as in YAML under `params:`
  std::vector<std::string> plugin_dirs;       ///< searched in order; empty: default_plugin_dirs()
  simulated_clock* simulated = nullptr;       ///< for tests: replaces real time; must never be freed
};

/// CPNS_PLUGIN_PATH (colon-separated) if set, then lib/cpns/transports beside the executable's bin/ folder, in
/// build and install trees alike.
std::vector<std::string> default_plugin_dirs();

/// Names of the transports that are linked into this program.
std::vector<std::string> linked_transports();

/// The path of a plugin, or "linked:NAME" for one linked into this program, which takes precedence over files.
/// plugin_load with every searched folder.
result<std::string> find_plugin(const transport_spec& spec);
/// Whether a result of find_plugin is "linked:NAME".
bool is_linked(std::string_view file);

/// Whether `file` is a shared object for this program's machine, by its ELF headers alone: dlopen reports other
/// files poorly, or dies of truncated ones. plugin_load with the file and its fault.
status check_shared_object(const std::string& file);

/// Loads the plugin into this process (it is never unloaded), checks its entry and opens an instance. `listener`
/// may be called before this returns. plugin_load, plugin_incompatible, plugin_misbehaved, plugin_failed
/// (resources), config_ (parameters). Call probe_transport first: a plugin that crashes takes this process with
/// it.
open_result<std::unique_ptr<transport>> load_transport(const transport_spec& spec,
                                                       transport_listener& listener);
/// The same; with `probe` the instance leaves no trace. For the probe's child process.
open_result<std::unique_ptr<transport>> open_plugin(const transport_spec& spec, bool probe,
                                                    transport_listener& listener);
/// Loads the file into this process and reads its description. For the probe's child process.
result<plugin_description> describe_file(const std::string& file);

/// The interface allows a plugin two seconds to open and two to close. The limit is longer because a busy machine
/// may delay it.
inline constexpr std::chrono::seconds probe_timeout{6};

/// The plugin's description, read in a child process. Ignores role and parameters of `spec`. plugin_load,
/// plugin_incompatible, plugin_misbehaved, plugin_crashed, plugin_hung.
result<plugin_description> describe_transport(const transport_spec& spec,
                                              std::chrono::milliseconds limit = probe_timeout);

/// Loads the plugin, opens it without side effects and closes it, all in a child process and within `limit`.
/// plugin_load, plugin_incompatible, plugin_failed, plugin_misbehaved, plugin_crashed with the signal,
/// plugin_hung. The child is this executable, started with `--cpns-probe-child`, so main() has to call
/// probe_child_main.
open_result<transport_info> probe_transport(const transport_spec& spec,
                                            std::chrono::milliseconds limit = probe_timeout);

/// The first argument of a probe process.
inline constexpr const char* probe_child_flag = "--cpns-probe-child";

/// The main function of a probe process: main() calls it first if argv[1] is probe_child_flag. argv[2] and up are
/// file, role (or "describe") and parameters; parameters are visible in the process list and must not hold
/// secrets. Writes the outcome to the original standard output and exits; returns only if that fails.
int probe_child_main(int argc, char** argv);

}  // namespace cpns::plugins
