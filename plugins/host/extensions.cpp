#include "plugins/host/extensions.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace cpns::plugins {
namespace {

constexpr std::size_t name_max = 48;

/// nullptr if the plugin lacks the extension, or its struct is smaller than this version of it.
template <class Extension>
const Extension* find(const cpns_transport& plugin, const char* id) {
  const auto* found = static_cast<const Extension*>(plugin.get_extension(plugin.context, id));
  return found != nullptr && found->size >= sizeof(Extension) ? found : nullptr;
}

}  // namespace

bool is_counter_name(std::string_view name, std::size_t most) {
  return !name.empty() && name.size() <= most && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

plugin_extensions::plugin_extensions(const cpns_transport& plugin)
    : context_(plugin.context), rssi_(find<cpns_ext_rssi>(plugin, CPNS_EXT_RSSI)),
      statistics_(find<cpns_ext_statistics>(plugin, CPNS_EXT_STATISTICS)),
      power_(find<cpns_ext_power>(plugin, CPNS_EXT_POWER)),
      pairing_(find<cpns_ext_pairing>(plugin, CPNS_EXT_PAIRING)) {}

link_quality plugin_extensions::quality(link_id link) const {
  link_quality out;
  if (rssi_ != nullptr && rssi_->of_link != nullptr) {
    const auto dbm = rssi_->of_link(context_, link);
    if (dbm >= rssi_least && dbm <= rssi_most) out.rssi_dbm = dbm;
  }
  if (pairing_ != nullptr && pairing_->of_link != nullptr) {
    const auto p = pairing_->of_link(context_, link);
    if (p >= CPNS_PAIRING_UNKNOWN && p <= CPNS_PAIRING_AUTHENTICATED)
      out.security = static_cast<link_security>(p);
  }
  return out;
}

std::vector<named_counter> plugin_extensions::counters() const {
  std::vector<named_counter> out;
  if (statistics_ == nullptr || statistics_->read == nullptr) return out;
  statistics_->read(
      context_,
      [](void* user, const char* name, std::uint64_t value) {
        auto& all = *static_cast<std::vector<named_counter>*>(user);
        const std::string_view text{name != nullptr ? name : "",
                                    name != nullptr ? ::strnlen(name, name_max + 1) : 0};
        if (is_counter_name(text, name_max) && all.size() < plugin_counters_max)
          all.push_back({std::string{text}, value});
      },
      &out);
  return out;
}

cpns_status plugin_extensions::set_power(power_level p) const {
  if (power_ == nullptr || power_->set == nullptr) return CPNS_OK;
  return power_->set(context_, p == power_level::saving ? CPNS_POWER_SAVING : CPNS_POWER_FULL);
}

void plugin_extensions::forget_pairing(const char* address) const {
  if (pairing_ != nullptr && pairing_->forget != nullptr) pairing_->forget(context_, address);
}

}  // namespace cpns::plugins
