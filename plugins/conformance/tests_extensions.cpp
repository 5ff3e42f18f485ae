// Optional extensions of the plugin.

#include <algorithm>

#include "plugins/abi/ext/pairing.h"
#include "plugins/abi/ext/power.h"
#include "plugins/abi/ext/rssi.h"
#include "plugins/abi/ext/statistics.h"
#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"
#include "plugins/host/extensions.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t frames_both_ways = 20;

/// nullptr if the plugin lacks it.
template <class Extension>
const Extension* find(instance& i, const char* id) {
  const auto* found = static_cast<const Extension*>(i.get_extension(id));
  if (found == nullptr) return nullptr;
  require(found->size >= sizeof(Extension),
          std::string{id} + " must have the size of its struct: it has " + std::to_string(found->size));
  return found;
}

void extensions_are_sound(bench& b) {
  pair p{b};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  for (auto* i : {&p.central, &p.peripheral}) {
    for (const auto* id : {"", "no.such/1", "cpns.rssi", "cpns.rssi/0", "cpns.power/999"})
      require(i->get_extension(id) == nullptr,
              std::string{"get_extension must return NULL for an unknown extension: it did not for '"} + id +
                  "'");
    const auto own = i == &p.central ? e.central : e.peripheral;
    if (const auto* rssi = find<cpns_ext_rssi>(*i, CPNS_EXT_RSSI)) {
      require(rssi->of_link != nullptr, "cpns.rssi/1 must have its function");
      for (const auto link : {own, ~std::uint64_t{0}}) {
        const auto dbm = rssi->of_link(i->raw()->context, link);
        require(dbm == CPNS_RSSI_UNKNOWN || (dbm >= plugins::rssi_least && dbm <= plugins::rssi_most),
                "of_link of cpns.rssi/1 must return dBm or CPNS_RSSI_UNKNOWN: it returned " +
                    std::to_string(dbm));
      }
    }
    if (const auto* pairing = find<cpns_ext_pairing>(*i, CPNS_EXT_PAIRING)) {
      require(pairing->of_link != nullptr && pairing->forget != nullptr,
              "cpns.pairing/1 must have its functions");
      const int is = pairing->of_link(i->raw()->context, own);
      require(is >= CPNS_PAIRING_UNKNOWN && is <= CPNS_PAIRING_AUTHENTICATED,
              "of_link of cpns.pairing/1 must return a cpns_pairing: it returned " + std::to_string(is));
      require(pairing->of_link(i->raw()->context, ~std::uint64_t{0}) == CPNS_PAIRING_UNKNOWN,
              "of_link of cpns.pairing/1 must return CPNS_PAIRING_UNKNOWN for a link that is not up");
      for (const auto* address : {"", "no such peer", "%s%n"}) pairing->forget(i->raw()->context, address);
    }
    if (const auto* power = find<cpns_ext_power>(*i, CPNS_EXT_POWER)) {
      require(power->set != nullptr, "cpns.power/1 must have its function");
      for (const std::uint32_t none : {0u, 3u, ~0u})
        require(power->set(i->raw()->context, none) == CPNS_UNSUPPORTED,
                "set of cpns.power/1 must return CPNS_UNSUPPORTED for an unknown value: it did not for " +
                    std::to_string(none));
    }
    if (const auto* statistics = find<cpns_ext_statistics>(*i, CPNS_EXT_STATISTICS))
      require(statistics->read != nullptr, "cpns.statistics/1 must have its function");
  }
}

struct counted {
  std::string name;
  std::uint64_t value;
};

std::vector<counted> read(instance& i, const cpns_ext_statistics& s) {
  std::vector<counted> out;
  s.read(
      i.raw()->context,
      [](void* user, const char* name, std::uint64_t value) {
        static_cast<std::vector<counted>*>(user)->push_back({name != nullptr ? name : "", value});
      },
      &out);
  require(!out.empty() && out.size() <= plugins::plugin_counters_max,
          "read of cpns.statistics/1 must report 1 to 64 counters: it reported " +
              std::to_string(out.size()));
  for (const auto& c : out)
    require(plugins::is_counter_name(c.name, 48),
            "a counter's name must have 1 to 48 of a-z, 0-9 and '_': it is '" + c.name + "'");
  return out;
}

void counters_only_grow(bench& b) {
  pair p{b};
  bool any = false;
  for (auto* i : {&p.central, &p.peripheral})
    any |= find<cpns_ext_statistics>(*i, CPNS_EXT_STATISTICS) != nullptr;
  if (!any) throw test_skipped{"the plugin has no cpns.statistics/1"};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  const auto look = [&] {
    std::vector<std::vector<counted>> out;
    for (auto* i : {&p.central, &p.peripheral})
      if (const auto* s = find<cpns_ext_statistics>(*i, CPNS_EXT_STATISTICS)) out.push_back(read(*i, *s));
    return out;
  };
  const auto compare = [](const auto& before, const auto& after) {
    for (std::size_t i = 0; i < before.size(); ++i) {
      require(std::equal(before[i].begin(), before[i].end(), after[i].begin(), after[i].end(),
                         [](const counted& x, const counted& y) { return x.name == y.name; }),
              "every read must report the same counters in the same order");
      for (std::size_t n = 0; n < before[i].size(); ++n)
        require(before[i][n].value <= after[i][n].value,
                "a counter must only grow: " + before[i][n].name + " went from " +
                    std::to_string(before[i][n].value) + " to " + std::to_string(after[i][n].value));
    }
  };
  const auto first = look();
  for (std::uint32_t n = 0; n < frames_both_ways; ++n) {
    p.central.send_until_taken(e.central, numbered(n, 23));
    p.peripheral.send_until_taken(e.peripheral, numbered(n, 23));
  }
  const auto second = look();
  compare(first, second);
  p.central.disconnect(e.central);
  require(p.wait([&] { return p.peripheral.heard.up() != std::vector{e.peripheral}; }),
          "after disconnect the peer's link must go down");
  compare(second, look());
}

void links_outlive_saving(bench& b) {
  pair p{b};
  bool any = false;
  for (auto* i : {&p.central, &p.peripheral}) any |= find<cpns_ext_power>(*i, CPNS_EXT_POWER) != nullptr;
  if (!any) throw test_skipped{"the plugin has no cpns.power/1"};
  const auto set = [&](std::uint32_t power) {
    for (auto* i : {&p.central, &p.peripheral})
      if (const auto* x = find<cpns_ext_power>(*i, CPNS_EXT_POWER))
        require(x->set(i->raw()->context, power) == CPNS_OK, "set of cpns.power/1 must succeed at any time");
  };
  set(CPNS_POWER_SAVING);
  set(CPNS_POWER_FULL);
  p.bring_up(1);
  const auto e = p.ends_of(1);
  for (const auto power : {CPNS_POWER_SAVING, CPNS_POWER_SAVING, CPNS_POWER_FULL}) {
    set(power);
    require(p.central.send_until_taken(e.central, numbered(1, 23)) == CPNS_OK &&
                p.peripheral.send_until_taken(e.peripheral, numbered(1, 23)) == CPNS_OK,
            "links must stay up at every power level: a send failed");
  }
  require(p.central.heard.up() == std::vector{e.central} &&
              p.peripheral.heard.up() == std::vector{e.peripheral},
          "links must stay up at every power level: one went down");
}

/// One instance of each role in simulated time, which advances one second at a time until a condition holds.
class in_simulated_time {
 public:
  explicit in_simulated_time(bench& b)
      : met_(b.draw()), central(b, recorder_of(b, CPNS_ROLE_CENTRAL), CPNS_ROLE_CENTRAL, met_.central),
        peripheral(b, recorder_of(b, CPNS_ROLE_PERIPHERAL), CPNS_ROLE_PERIPHERAL, met_.peripheral) {}
  void go_on(std::uint64_t ms) {
    require(clock().run_for(ms),
            "a radio must release simulated time: it held it for " + std::to_string(timeout.count()) + " s");
  }
  template <class Holds>
  bool wait(Holds holds) {
    for (int second = 0; second < 120; ++second) {
      go_on(1000);
      if (holds()) return true;
      for (const auto& address : central.heard.take_found()) central.connect(address);
    }
    return false;
  }

 private:
  static plugins::simulated_clock& clock() {
    static auto* const kept = new plugins::simulated_clock;
    return *kept;
  }
  static recorder& recorder_of(bench& b, cpns_role role) { return keep_recorder(b, role, &clock()); }
  const meeting met_;

 public:
  instance central, peripheral;
};

void simulated_time_goes_on(bench& b) {
  in_simulated_time t{b};
  if (!t.central.heard.asked_for_clock() && !t.peripheral.heard.asked_for_clock())
    throw test_skipped{"the plugin does not use cpns.clock/1"};
  require(t.central.scan(true) == CPNS_OK && t.peripheral.add_endpoint(1) == CPNS_OK,
          "scan and add_endpoint must succeed");
  require(t.wait([&] { return t.central.heard.count_up() == 1 && t.peripheral.heard.count_up() == 1; }),
          "a link must come up within two simulated minutes");
  const auto from = t.peripheral.heard.up().front(), to = t.central.heard.up().front();
  for (std::uint32_t n = 0; n < frames_both_ways; ++n) {
    const auto before = t.central.heard.frames(to).size();
    require(t.peripheral.send(from, numbered(n, 23)) == CPNS_OK, "a link that is up must accept frames");
    if (!t.peripheral.reliable()) continue;
    require(t.wait([&] { return t.central.heard.frames(to).size() > before; }),
            "a frame must arrive within two simulated minutes");
  }
  t.go_on(std::uint64_t{24} * 60 * 60 * 1000);
  t.central.close();
  t.go_on(1000);
}

constexpr test extension_list[] = {
    {"extensions-are-sound",
     "Unknown extensions are NULL; known ones have all functions, and these accept any argument.",
     "link-comes-up", seconds{60}, extensions_are_sound},
    {"counters-only-grow", "Counters have valid names, keep their order and only grow.",
     "extensions-are-sound", seconds{60}, counters_only_grow},
    {"links-outlive-saving", "The power level may change at any time, and links stay up.",
     "extensions-are-sound", seconds{60}, links_outlive_saving},
    {"simulated-time-goes-on",
     "A radio that supports simulated time runs through a simulated day without delay.",
     "extensions-are-sound", seconds{60}, simulated_time_goes_on},
};

}  // namespace

std::span<const test> extension_tests() { return extension_list; }

}  // namespace cpns::conformance
