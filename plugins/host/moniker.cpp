#include "plugins/host/moniker.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace cpns::plugins {
namespace {

bool is_setting(std::string_view word) {
  const auto equals = word.find('=');
  return equals != std::string_view::npos && equals != 0 &&
         std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

}  // namespace

result<moniker> parse_moniker(const std::string& text) {
  const auto wrong = [&text](const std::string& what) {
    return fail(errc::config_usage, shown(text) + ": " + what +
                                        "; write PLUGIN:ADDRESS,NAME=VALUE, for example " +
                                        "tcp:127.0.0.1:7000,mtu=200");
  };
  moniker m;
  const auto end = std::min(text.find_first_of(":,"), text.size());
  m.plugin = text.substr(0, end);
  if (m.plugin.empty()) return wrong("the name of the plugin is missing");
  if (end == text.size()) return m;
  std::string_view rest{text};
  rest.remove_prefix(end);
  bool in_address = rest.front() == ':';
  bool first = true;
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto word = rest.substr(0, rest.find(','));
    rest.remove_prefix(word.size());
    if (is_setting(word)) {
      in_address = false;
      const auto equals = word.find('=');
      const std::string name{word.substr(0, equals)};
      if (!m.params.emplace(name, word.substr(equals + 1)).second) return wrong(name + " is given twice");
    } else if (in_address) {
      m.address += (first ? "" : ",") + std::string{word};
    } else {
      return wrong(shown(word) + " is not of the form NAME=VALUE");
    }
    first = false;
  }
  return m;
}

result<std::map<std::string, std::string>> params_of(const moniker& m, const plugin_description& plugin,
                                                     transport_role role) {
  auto out = m.params;
  const auto& all = plugin.parameters;
  if (!m.address.empty()) {
    const auto address =
        std::find_if(all.begin(), all.end(), [&](const auto& p) { return p.is_address() && p.is_of(role); });
    if (address == all.end())
      return fail(errc::config_usage, plugin.name + " has no address; name the parameter instead: " +
                                          plugin.name + ",NAME=" + m.address);
    if (!out.emplace(address->name, m.address).second)
      return fail(errc::config_usage, "the address of " + plugin.name + " is its parameter " + address->name +
                                          ": give only one of them");
  }
  for (const auto& p : all)
    if (!p.is_of(role)) out.erase(p.name);
  return out;
}

}  // namespace cpns::plugins
