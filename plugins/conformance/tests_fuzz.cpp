// Calls in random order, chosen by a seed.

#include <algorithm>
#include <optional>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int steps = 3000, lives = 6;

/// The calls depend only on the seed; their effect also depends on the plugin's threads.
class fuzzer {
 public:
  explicit fuzzer(bench& b) : b_(b), met_(b.draw()) {}

  void step() {
    const auto role = draw(2);
    auto& i = role == 0 ? central_ : peripheral_;
    const auto what = draw(100), a = draw(8), size = draw(2000);
    if (!i) {
      if (role == 0)
        central_.emplace(b_, CPNS_ROLE_CENTRAL, met_.central);
      else
        peripheral_.emplace(b_, CPNS_ROLE_PERIPHERAL, met_.peripheral);
      return;
    }
    // Mostly an existing link; the plugin chooses the ids.
    const auto up = i->heard.up();
    const auto link = what % 7 == 0 || up.empty() ? a : up[a % up.size()];
    if (what < 12)
      role == 0 ? (void)i->scan(a != 0) : (void)i->add_endpoint(1 + a);
    else if (what < 18 && role == 1)
      i->remove_endpoint(1 + a);
    else if (what < 22)
      i->disconnect(link);
    else if (what < 24)
      i->read_limits();
    else if (what < 26)
      i->get_extension(a % 2 == 0 ? "cpns.rssi/1" : "no.such/1");
    else if (what < 30)
      connect(*i);
    else if (what < 31 && a == 0)
      i.reset();
    else
      i->send(link, numbered(size, size));
    if (what == 99) std::this_thread::sleep_for(milliseconds{a});
  }

 private:
  std::uint32_t draw(std::uint32_t below) { return static_cast<std::uint32_t>(b_.dice() % below); }
  static void connect(instance& i) {
    const auto found = i.heard.take_found();
    if (found.empty()) i.connect("nowhere");
    for (const auto& address : found) i.connect(address);
  }

  bench& b_;
  const meeting met_;
  std::optional<instance> central_, peripheral_;
};

void calls_in_any_order(bench& b) {
  for (int life = 0; life < lives; ++life) {
    fuzzer f{b};
    for (int i = 0; i < steps / lives; ++i) f.step();
  }
}

constexpr test fuzz_list[] = {
    {"calls-in-any-order",
     "Random calls of both roles, chosen by the seed, with close and open in between, do no harm.",
     "link-comes-up", seconds{120}, calls_in_any_order},
};

}  // namespace

std::span<const test> fuzz_tests() { return fuzz_list; }

std::vector<test> all_tests() {
  std::vector<test> out;
  for (const auto group : {load_tests(), declaration_tests(), open_tests(), parameter_tests(), link_tests(),
                           open_together_tests(), traffic_tests(), thread_tests(), extension_tests(),
                           close_tests(), leak_tests(), fuzz_tests()})
    out.insert(out.end(), group.begin(), group.end());
  return out;
}

}  // namespace cpns::conformance
