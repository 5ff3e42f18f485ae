#include "transports/ble/settings.hpp"

#include <algorithm>
#include <set>

namespace cpns::ble {
namespace {

bool is_adapter(std::string_view name) {
  return name.size() > 3 && name.size() < 16 && name.starts_with("hci") &&
         name.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

security level_of(const std::string& word) {
  return word == "high" ? security::high : word == "medium" ? security::medium : security::low;
}

void read_ways(const std::vector<std::string>& ways, settings& s) {
  for (const auto& w : ways) {
    if (w != "l2cap" && w != "gatt")
      throw sdk::bad_parameter{"ways", "it must be l2cap, gatt or both, separated by a comma"};
    (w == "gatt" ? s.gatt : s.l2cap) = true;
  }
  if (!s.l2cap && !s.gatt)
    throw sdk::bad_parameter{"ways", "it must be l2cap, gatt or both, separated by a comma"};
}

}  // namespace

settings read_settings(const sdk::parameters& p, cpns_role as) {
  settings s;
  s.adapters = p.list("adapter");
  const std::set<std::string> different{s.adapters.begin(), s.adapters.end()};
  if (s.adapters.empty() || different.size() != s.adapters.size() ||
      !std::all_of(s.adapters.begin(), s.adapters.end(), is_adapter))
    throw sdk::bad_parameter{
        "adapter", "it must be the name of an adapter, for example hci0, or several different ones, "
                   "separated by commas"};
  s.mtu = static_cast<std::uint32_t>(p.number("mtu"));
  read_ways(p.list("ways"), s);
  s.level = level_of(p.text("security"));
  if (as == CPNS_ROLE_CENTRAL) {
    if (s.adapters.size() != 1)
      throw sdk::bad_parameter{"adapter", "a gateway uses one adapter per transport; configure a second "
                                          "transport for another adapter"};
    s.max_links = p.number("max_links");
    s.connect_ms = p.number("connect_ms");
    s.idle_ms = p.number("idle_ms");
    s.rest_ms = p.number("rest_ms");
  } else {
    s.psm = static_cast<std::uint8_t>(p.number("psm"));
  }
  return s;
}

}  // namespace cpns::ble
