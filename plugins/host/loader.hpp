#pragma once
// From the name of a plugin to an open transport. A plugin runs in this process, so it is probed in a child
// first.

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
  std::string plugin;  ///< a name ("tcp": NAME.so in plugin_dirs) or a path (it holds a '/')
  transport_role role = transport_role::central;
  std::map<std::string, std::string> params;  ///< as in YAML under `params:`
  std::vector<std::string> plugin_dirs;       ///< searched in order; empty: default_plugin_dirs()
  simulated_clock* simulated = nullptr;       ///< stands for real time, in tests; never freed
};

/// CPNS_PLUGIN_PATH (colon-separated) if set, then lib/cpns/transports beside the executable's bin/ folder:
/// build and install trees have the same shape.
std::vector<std::string> default_plugin_dirs();

/// Names of the transports that are part of this program.
std::vector<std::string> linked_transports();

/// The file of a plugin, or "linked:NAME" for one that is part of this program, which comes before any file;
/// plugin_load, naming every place that was tried.
result<std::string> find_plugin(const transport_spec& spec);
/// Whether a result of find_plugin is no file.
bool is_linked(std::string_view file);

/// Loads the plugin into this process (it is never unloaded), checks its entry and opens an instance.
/// `listener` may be called before this returns. plugin_load, plugin_incompatible, plugin_failed (resources),
/// config_ (parameters). Call probe_transport first: a plugin that crashes does so here.
open_result<std::unique_ptr<transport>> load_transport(const transport_spec& spec,
                                                       transport_listener& listener);

/// The interface gives a plugin two seconds to open and two to close. A busy machine may stretch that, so
/// only what takes much longer has hung.
inline constexpr std::chrono::seconds probe_timeout{6};

/// What the plugin says of itself, read in a child process: plugin_load, plugin_incompatible,
/// plugin_misbehaved, plugin_crashed, plugin_hung. Role and parameters of `spec` are not looked at.
result<plugin_description> describe_transport(const transport_spec& spec,
                                              std::chrono::milliseconds limit = probe_timeout);

/// The same in a child process (load, entry, open without side effects, close), bounded by `limit`:
/// plugin_load, plugin_incompatible, plugin_failed, plugin_crashed with the signal, plugin_hung. The child is
/// this executable, started with `--cpns-probe-child`, so main() hands that over to probe_child_main.
open_result<transport_info> probe_transport(const transport_spec& spec,
                                            std::chrono::milliseconds limit = probe_timeout);

/// The first argument of a process that is a probe.
inline constexpr const char* probe_child_flag = "--cpns-probe-child";

/// The whole life of a probe process: main() calls it first of all when argv[1] is probe_child_flag. argv[2]
/// on are file, role (or "describe") and parameters, so parameters are no place for secrets. Writes the
/// outcome to the standard output that it was started with; does not return when it got that far.
int probe_child_main(int argc, char** argv);

}  // namespace cpns::plugins
