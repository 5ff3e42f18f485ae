// Whether a radio of a gateway and one of its PNEs can meet.

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cli/doctor/compare.hpp"
#include "config/values.hpp"
#include "protocol/constants.hpp"

namespace cpns::cli::doctor {
namespace {

/// A transport of one side, with the name that its plugin has and all parameters.
struct radio {
  std::string key;  ///< "transports[0]"
  std::string name;
  radio_facts facts;
  [[nodiscard]] std::string param(const std::string& p) const {
    const auto it = facts.params.find(p);
    return it == facts.params.end() ? std::string{} : it->second;
  }
  [[nodiscard]] std::string key_of(const std::string& p) const { return key + ".params." + p; }
};

/// Two radios of one plugin.
struct meeting {
  const gateway_side& g;
  const pne_side& p;
  const radio& here;
  const radio& there;

  /// "FILE:LINE:COLUMN: 'transports[0].params.network' is cpns", of each side.
  [[nodiscard]] std::string gateway(const std::string& param) const { return shown(g, here, param); }
  [[nodiscard]] std::string pne(const std::string& param) const { return shown(p, there, param); }
  [[nodiscard]] bool same(const std::string& param) const { return here.param(param) == there.param(param); }

 private:
  template <class Side>
  static std::string shown(const Side& s, const radio& r, const std::string& param) {
    const auto value = r.param(param);
    return s.named(r.key_of(param)) + " is " + (value.empty() ? "empty" : value);
  }
};

/// nullopt: they can meet.
using obstacle = std::optional<line>;

std::vector<std::string> list_of(const std::string& text) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : text + ",") {
    if (c == ',') {
      if (!word.empty()) out.push_back(std::exchange(word, {}));
    } else if (c != ' ') {
      word += c;
    }
  }
  return out;
}

std::vector<config::address> addresses_of(const std::string& text) {
  std::vector<config::address> out;
  for (const auto& word : list_of(text))
    if (const auto a = config::parse_address(word)) out.push_back(*a);
  return out;
}

/// By the beacons of the gateway.
bool is_discovered(const meeting& m) {
  const auto port = m.there.param("discover");
  const auto beacons = addresses_of(m.here.param("announce"));
  return port != "0" && std::any_of(beacons.begin(), beacons.end(), [&port](const config::address& to) {
           return std::to_string(to.port) == port;
         });
}

bool is_connected(const meeting& m) {
  const auto own = config::parse_address(m.here.param("listen"));
  const auto gateways = addresses_of(m.there.param("connect"));
  return own && own->port != 0 &&
         std::any_of(gateways.begin(), gateways.end(), [&own](const auto& to) { return arrives(to, *own); });
}

/// Not an error where something between the machines can forward a port.
line not_reached(const meeting& m) {
  const auto own = config::parse_address(m.here.param("listen"));
  std::string why = m.pne("connect") + ", but " + m.gateway("listen");
  if (own && own->port == 0) why += ", where the system chooses the port";
  if (m.there.param("discover") != "0") why += "; " + m.pne("discover") + ", but " + m.gateway("announce");
  return {state_t::warning, why + ": the PNEs do not reach this gateway, unless a machine between them "
                                  "forwards the port; write its address in 'connect'"};
}

obstacle tcp_obstacle(const meeting& m) {
  if (!m.same("network"))
    return line{state_t::error, m.gateway("network") + ", but " + m.pne("network") +
                                    ": they ignore each other; write the same name on both sides"};
  if (is_connected(m) || is_discovered(m)) return std::nullopt;
  if (!m.there.param("connect").empty()) return not_reached(m);
  return line{state_t::error, m.pne("discover") + ", but " + m.gateway("announce") +
                                  ": no beacon of the gateway arrives there; announce at that port, or name "
                                  "the gateway in 'connect'"};
}

obstacle ble_obstacle(const meeting& m) {
  const auto ways = list_of(m.here.param("ways")), others = list_of(m.there.param("ways"));
  if (std::none_of(ways.begin(), ways.end(), [&others](const std::string& w) {
        return std::find(others.begin(), others.end(), w) != others.end();
      }))
    return line{state_t::error, m.gateway("ways") + ", but " + m.pne("ways") +
                                    ": they have none in common; write one of them on both sides"};
  if (!m.same("mtu"))
    return line{state_t::error, m.gateway("mtu") + ", but " + m.pne("mtu") +
                                    ": the side with the larger one ends the link; write the same on both "
                                    "sides"};
  return std::nullopt;
}

obstacle loopback_obstacle(const meeting& m) {
  return line{state_t::error, m.g.named(m.here.key + ".plugin") + " and " +
                                  m.p.named(m.there.key + ".plugin") +
                                  " are loopback, which stays inside one process: roles in two processes "
                                  "never meet; use another radio"};
}

using obstacle_fn = obstacle (*)(const meeting&);
/// For the radios of this project. Nothing is known of the parameters of others.
const std::map<std::string, obstacle_fn, std::less<>> rule_of_plugin{
    {"tcp", tcp_obstacle}, {"ble", ble_obstacle}, {"loopback", loopback_obstacle}};

/// 0: it is not one, which `cpns config check` says.
std::size_t number_of(const std::string& text) {
  std::size_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

/// Frames of a radio that meets: TCP closes a link at a frame over the receiver's mtu.
void compare_frames(const meeting& m, lines& out) {
  if (m.here.facts.plugin != "tcp" || m.same("mtu")) return;
  const auto least = std::min(number_of(m.here.param("mtu")), number_of(m.there.param("mtu")));
  constexpr std::size_t header = 2;
  if (least >= protocol::radio_message_max + header) return;  // no frame is longer
  out.push_back({state_t::warning, m.gateway("mtu") + ", but " + m.pne("mtu") +
                                       ": a link ends at the first frame that is longer than the smaller "
                                       "one; write the same on both sides"});
}

/// Adds a warning for each transport whose plugin does not describe itself here.
template <class Side>
std::vector<radio> radios_of(const Side& s, config::role_kind role, const tools& use, lines& out) {
  std::vector<radio> all;
  for (std::size_t i = 0; i < s.config.transports.size(); ++i) {
    const auto& t = s.config.transports[i];
    const auto key = "transports[" + std::to_string(i) + "]";
    if (auto facts = use.describe_radio(t, s.config.plugin_dirs, role))
      all.push_back({key, t.name, *std::move(facts)});
    else
      out.push_back({state_t::warning, s.named(key + ".plugin") +
                                           " is not compared: " + facts.error().detail +
                                           "; run the command where the plugin is installed"});
  }
  return all;
}

std::string plugins_of(const std::vector<radio>& all) {
  std::set<std::string> names;
  for (const auto& r : all) names.insert(r.facts.plugin);
  std::string out;
  for (const auto& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

bool all_known(const std::vector<radio>& all) {
  return std::all_of(all.begin(), all.end(),
                     [](const radio& r) { return rule_of_plugin.contains(r.facts.plugin); });
}

/// No plugin is on both sides.
line strangers(const gateway_side& g, const pne_side& p, const std::vector<radio>& here,
               const std::vector<radio>& there) {
  const auto both = g.named("transports") + ": " + plugins_of(here) + "; " + p.named("transports") + ": " +
                    plugins_of(there);
  if (all_known(here) && all_known(there))
    return {state_t::error, both + ": the sides have no radio in common; add one"};
  return {state_t::ok,
          both + ": of radios that are not part of this project it is not known whether they meet"};
}

}  // namespace

lines compare_radios(const gateway_side& g, const pne_side& p, const tools& use) {
  lines out;
  const auto here = radios_of(g, config::role_kind::gateway, use, out);
  const auto there = radios_of(p, config::role_kind::pne, use, out);
  if (!out.empty()) return out;
  lines met, obstacles;
  for (const auto& a : here)
    for (const auto& b : there) {
      if (a.facts.plugin != b.facts.plugin) continue;
      const meeting m{g, p, a, b};
      const auto rule = rule_of_plugin.find(a.facts.plugin);
      if (auto in_the_way = rule == rule_of_plugin.end() ? obstacle{} : rule->second(m)) {
        obstacles.push_back(*std::move(in_the_way));
        continue;
      }
      met.push_back(
          {state_t::ok, "the radio " + a.name + " (" + g.place(a.key) + ") can meet " + b.name + " (" +
                            p.place(b.key) + "), over " + a.facts.plugin +
                            (rule == rule_of_plugin.end() ? "; its parameters are not compared" : "")});
      compare_frames(m, met);
    }
  if (!met.empty()) return met;
  if (obstacles.empty()) return {strangers(g, p, here, there)};
  return obstacles;
}

}  // namespace cpns::cli::doctor
