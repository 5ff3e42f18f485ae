#pragma once
// A plugin's optional extensions, checked like the rest of the plugin.

#include <vector>

#include "plugins/abi/ext/pairing.h"
#include "plugins/abi/ext/power.h"
#include "plugins/abi/ext/rssi.h"
#include "plugins/abi/ext/statistics.h"
#include "plugins/abi/transport.h"
#include "plugins/host/transport.hpp"

namespace cpns::plugins {

inline constexpr std::size_t plugin_counters_max = 64;

/// Whether `name` is a valid counter name: 1 to `most` of a-z, 0-9 and '_'.
bool is_counter_name(std::string_view name, std::size_t most);

/// The extensions of one open instance. [thread-safe] Its members call the plugin: do not call them once the
/// plugin's close has begun.
class plugin_extensions {
 public:
  plugin_extensions() = default;
  explicit plugin_extensions(const cpns_transport& plugin);

  [[nodiscard]] link_quality quality(link_id link) const;
  /// Without counters that have an invalid name, and at most plugin_counters_max.
  [[nodiscard]] std::vector<named_counter> counters() const;
  /// CPNS_OK if the plugin lacks the extension.
  [[nodiscard]] cpns_status set_power(power_level p) const;
  void forget_pairing(const char* address) const;

 private:
  void* context_ = nullptr;
  const cpns_ext_rssi* rssi_ = nullptr;
  const cpns_ext_statistics* statistics_ = nullptr;
  const cpns_ext_power* power_ = nullptr;
  const cpns_ext_pairing* pairing_ = nullptr;
};

}  // namespace cpns::plugins
