#pragma once
// Drives one untrusted plugin instance: checks ids, sizes, order and time of its callbacks, and closes a link on
// which the plugin breaks a rule. Splits messages into frames and reassembles them.

#include <map>
#include <memory>
#include <string>

#include "plugins/abi/transport.h"
#include "plugins/host/transport.hpp"

namespace cpns::plugins {

class simulated_clock;

/// Why a transport did not open, and the parameter that caused it (empty: none).
struct open_error : error {
  open_error(error e, std::string of = {}) : error(std::move(e)), parameter(std::move(of)) {}
  std::string parameter;
};
template <class T>
using open_result = tl::expected<T, open_error>;

/// Checks the parameters against the plugin's declarations, adds presets, calls entry.open and checks the result.
/// plugin_failed, plugin_misbehaved, or config_... for a parameter; the detail holds the plugin's log lines. With
/// `probe` the plugin leaves no trace. `listener` must outlive close(). `simulated`, if given, replaces real time
/// and must never be freed.
open_result<std::unique_ptr<transport>> open_checked(const cpns_transport_entry_t& entry, transport_role as,
                                                     const std::map<std::string, std::string>& params,
                                                     bool probe, transport_listener& listener,
                                                     simulated_clock* simulated = nullptr);

}  // namespace cpns::plugins
