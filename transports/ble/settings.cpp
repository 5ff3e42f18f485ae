#include "transports/ble/settings.hpp"

#include <algorithm>

namespace cpns::ble {
namespace {

bool is_adapter(std::string_view name) {
  return name.size() > 3 && name.size() < 16 && name.starts_with("hci") &&
         name.find_first_not_of("0123456789", 3) == std::string_view::npos;
}

std::vector<std::string> parse_adapters(const std::string& text) {
  std::vector<std::string> out;
  std::string_view rest{text};
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    auto item = rest.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!is_adapter(item) || std::find(out.begin(), out.end(), item) != out.end()) return {};
    out.emplace_back(item);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return out;
}

security parse_security(const std::string& text) {
  if (text == "low") return security::low;
  if (text == "medium") return security::medium;
  if (text == "high") return security::high;
  throw sdk::bad_parameter{"parameter security is '" + text + "', it must be low, medium or high"};
}

}  // namespace

settings read_settings(sdk::parameters& p, cpns_role as) {
  settings s;
  const auto adapters = p.text("adapter", "hci0");
  s.adapters = parse_adapters(adapters);
  if (s.adapters.empty())
    throw sdk::bad_parameter{"parameter adapter is '" + adapters +
                             "', it must be an adapter, for example hci0, or several different ones"};
  s.mtu = static_cast<std::uint32_t>(p.number("mtu", s.mtu, 23, 4096));
  s.level = parse_security(p.text("security", "low"));
  if (as == CPNS_ROLE_CENTRAL) {
    if (s.adapters.size() != 1)
      throw sdk::bad_parameter{"parameter adapter: a gateway uses one adapter in a transport; name a second "
                               "one in a transport of its own"};
    s.max_links = p.number("max_links", s.max_links, 1, 64);
    s.connect_ms = p.number("connect_ms", s.connect_ms, 500, 60'000);
    s.idle_ms = p.number("idle_ms", s.idle_ms, 100, 600'000);
    s.rest_ms = p.number("rest_ms", s.rest_ms, 0, 86'400'000);
  } else {
    s.psm = static_cast<std::uint8_t>(p.number("psm", s.psm, 0x80, 0xFF));
  }
  p.finish();
  return s;
}

}  // namespace cpns::ble
