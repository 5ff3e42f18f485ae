// Calls from many threads, and from within callbacks.

#include <atomic>
#include <future>
#include <set>

#include "plugins/abi/ext/rssi.h"
#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void sends_from_many_threads(bench& b) {
  constexpr std::uint32_t each = 400, threads = 4;
  pair p{b};
  p.bring_up(2);
  const auto one = p.ends_of(1), two = p.ends_of(2);
  std::atomic<int> refused{0};
  std::vector<std::thread> all;
  for (std::uint32_t t = 0; t < threads; ++t)
    all.emplace_back([&, t] {
      for (std::uint32_t i = 0; i < each; ++i) {
        const auto frame = numbered(t * each + i, 23);
        if (p.peripheral.send_until_taken(one.peripheral, frame) != CPNS_OK) ++refused;
        if (p.central.send_until_taken(two.central, frame) != CPNS_OK) ++refused;
      }
    });
  for (auto& t : all) t.join();
  require(refused == 0,
          "send may be called from several threads: " + std::to_string(refused.load()) + " calls failed");
  const auto arrived = [&](recorder& r, std::uint64_t link) {
    const auto whole = [&] {
      std::set<std::uint32_t> numbers;
      for (const auto& f : r.frames(link)) {
        const auto n = number_of(f);
        if (n >= 0xfeed0000u) continue;
        require(f == numbered(n, 23),
                "frames of several threads must not be mixed: one arrived that was never sent");
        numbers.insert(n);
      }
      return numbers.size() == each * threads;
    };
    if (p.central.reliable()) return p.wait(whole);
    whole();
    return true;
  };
  if (!arrived(p.central.heard, one.central) || !arrived(p.peripheral.heard, two.peripheral))
    frame_lost(p.central, "not all frames of several threads arrived");
}

/// All [any-thread] functions, from four threads, until the time is over.
void calls_from_many_threads(bench& b) {
  pair p{b};
  p.bring_up(3);
  for (std::uint64_t e = 10; e < 50; ++e) p.peripheral.heard.expect_endpoint(e);
  std::atomic<bool> on{true};
  std::vector<std::thread> all;
  for (unsigned t = 0; t < 4; ++t)
    all.emplace_back([&, t, dice = std::mt19937_64{b.on.seed + t}]() mutable {
      while (on) {
        const auto link = dice() % 20;
        const std::uint64_t endpoint = 10 * (t + 1) + dice() % 3;
        switch (dice() % 10) {
        case 0: p.central.scan(dice() % 4 != 0); break;
        case 1: p.peripheral.raw()->add_endpoint(p.peripheral.raw()->context, endpoint, "x"); break;
        case 2: p.peripheral.remove_endpoint(endpoint); break;
        case 3: p.central.disconnect(link); break;
        case 4: p.peripheral.disconnect(link); break;
        case 5: p.central.get_extension(CPNS_EXT_RSSI); break;
        case 6: p.central.read_limits(); break;
        case 7: p.connect_to_found(), p.central.cancel("nowhere"); break;
        case 8: p.central.send(link, numbered(1, 23)); break;
        default: p.peripheral.send(link, numbered(1, 23));
        }
      }
    });
  std::this_thread::sleep_for(milliseconds{700});
  on = false;
  for (auto& t : all) t.join();
  for (std::uint64_t e = 1; e < 50; ++e) p.peripheral.remove_endpoint(e);
  p.wait_for_links(0, "all links must go down after their endpoints are removed");
}

/// Runs calls in a plugin's thread and counts those that have returned.
struct call_counter {
  std::atomic<int> begun{0}, done{0};
  template <class Call>
  void operator()(Call call) {
    ++begun;
    call();
    ++done;
  }
};

void calls_from_callbacks(bench& b) {
  pair p{b};
  // Static, because the hooks run until both instances are closed.
  static call_counter up, frame, down;
  auto& c = p.central;
  auto& q = p.peripheral;
  const auto small = numbered(5, 23);
  c.heard.on.up = [&](std::uint64_t l) {
    up([&] {
      c.send(l, small);
      c.read_limits();
      c.get_extension("no.such/1");
      c.send(l + 1000, small);
      c.disconnect(l + 1000);
      c.scan(true);
    });
  };
  q.heard.on.up = [&](std::uint64_t l) { up([&] { q.send(l, small); }); };
  c.heard.on.frame = [&](std::uint64_t l, std::span<const std::uint8_t>) {
    frame([&] {
      c.send(l, small);
      if (frame.begun > 40) c.disconnect(l);
    });
  };
  q.heard.on.frame = [&](std::uint64_t l, std::span<const std::uint8_t>) {
    frame([&] {
      q.send(l, small);
      q.remove_endpoint(99);
      if (frame.begun > 40) q.disconnect(l);
    });
  };
  c.heard.on.down = [&](std::uint64_t l) { down([&] { c.send(l, small), c.disconnect(l), c.scan(true); }); };
  q.heard.on.down = [&](std::uint64_t l) {
    down([&] {
      q.send(l, small);
      q.remove_endpoint(1);
    });
  };
  const auto scanned = c.scan(true);
  require(scanned == CPNS_OK && q.add_endpoint(1) == CPNS_OK, "scan and add_endpoint must succeed");
  const auto over = p.wait([] { return down.done >= 2; });
  const auto check_hang = [&b](const char* what, const call_counter& a) {
    if (a.begun == a.done) return;
    b.abandon();
    throw test_failed{std::string{"calls are allowed from within callbacks: one from "} + what +
                      " had not returned after " + std::to_string(timeout.count()) + " s"};
  };
  if (!over) {
    check_hang("link_up", up);
    check_hang("frame", frame);
    check_hang("link_down", down);
  }
  require(over, "a link that is disconnected from within frame must go down on both sides");
}

void calls_return_at_once(bench& b) {
  std::atomic<bool> slow{false};  // outlives the instances, whose threads read it
  pair p{b};
  p.central.heard.on.frame = [&slow](std::uint64_t, std::span<const std::uint8_t>) {
    if (slow) std::this_thread::sleep_for(milliseconds{20});
  };
  p.bring_up(1);
  const auto e = p.ends_of(1);
  // No peer answers at this address; connect_failed follows later, or never.
  p.central.connect("127.0.0.1:9");
  p.central.connect("nowhere");
  p.central.connect("");
  p.central.connect(std::string(5000, 'a'));
  slow = true;
  const auto until = std::chrono::steady_clock::now() + milliseconds{500};
  while (std::chrono::steady_clock::now() < until)
    p.peripheral.send(e.peripheral, numbered(1, p.peripheral.mtu()));
}

void nothing_throws(bench& b) {
  pair p{b};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  for (auto* i : {&p.central, &p.peripheral}) {
    const auto own = i == &p.central ? e.central : e.peripheral;
    for (const auto* id : {"", "cpns.rssi/1", "cpns.rssi/999", "%s%n", "\xff\xfe"}) i->get_extension(id);
    for (const auto* address : {"", "%s%n", ":", "127.0.0.1", "[::1]:1", "\xff\xfe"}) i->connect(address);
    for (const std::uint64_t link : {own, own + 1, ~std::uint64_t{0}}) {
      i->send(link, bytes(std::size_t{i->mtu()} + 1, 1));
      i->send(link, numbered(1, 1));
      i->disconnect(~link);
    }
    i->remove_endpoint(~std::uint64_t{0});
    i->raw()->scan(i->raw()->context, false);
  }
}

constexpr test thread_list[] = {
    {"sends-from-many-threads", "Frames that several threads send at once arrive intact.", "link-comes-up",
     seconds{90}, sends_from_many_threads},
    {"calls-from-many-threads", "Every [any-thread] function may be called from several threads at once.",
     "link-comes-up", seconds{90}, calls_from_many_threads},
    {"calls-from-callbacks", "Functions such as send and disconnect may be called from within callbacks.",
     "link-comes-up", seconds{60}, calls_from_callbacks},
    {"calls-return-at-once", "No call waits for the peer.", "link-comes-up", seconds{90},
     calls_return_at_once},
    {"nothing-throws", "No exception leaves the plugin, for any arguments.", "link-comes-up", seconds{60},
     nothing_throws},
};

}  // namespace

std::span<const test> thread_tests() { return thread_list; }

}  // namespace cpns::conformance
