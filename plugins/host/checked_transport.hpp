#pragma once
// Drives one plugin instance and trusts nothing that it does: ids, sizes, order and time of its callbacks are
// checked, and what breaks a rule costs the link that it happened on. Fragmentation is done here.

#include <map>
#include <memory>
#include <string>

#include "plugins/abi/transport.h"
#include "plugins/host/transport.hpp"

namespace cpns::plugins {

class simulated_clock;

/// Why a transport did not open, and which parameter is to blame, if one is.
struct open_error : error {
  open_error(error e, std::string of = {}) : error(std::move(e)), parameter(std::move(of)) {}
  std::string parameter;
};
template <class T>
using open_result = tl::expected<T, open_error>;

/// Checks the parameters against what the plugin declares, adds its presets, calls entry->open and checks
/// what it returns. plugin_failed, plugin_misbehaved or config_range (a parameter); the detail holds what the
/// plugin logged. With `probe` the plugin leaves no trace. `listener` outlives close(). `simulated`, which
/// outlives the process's last plugin, stands for real time.
open_result<std::unique_ptr<transport>> open_checked(const cpns_transport_entry_t& entry, transport_role as,
                                                     const std::map<std::string, std::string>& params,
                                                     bool probe, transport_listener& listener,
                                                     simulated_clock* simulated = nullptr);

}  // namespace cpns::plugins
