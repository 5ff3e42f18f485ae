// close at every moment, and no callbacks before the start.

#include <algorithm>
#include <atomic>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds after_close{250};

void close_without_start(bench& b) {
  for (int i = 0; i < 5; ++i) {
    const auto met = b.draw();
    instance central{b, CPNS_ROLE_CENTRAL, met.central};
    instance peripheral{b, CPNS_ROLE_PERIPHERAL, met.peripheral};
    // Calls without an effect are allowed before the start, too.
    central.raw()->scan(central.raw()->context, false);
    central.disconnect(1);
    peripheral.remove_endpoint(1);
    peripheral.send(1, numbered(1, 8));
    if (i % 2 == 0) central.close();
    peripheral.close();
  }
}

void no_callback_before_start(bench& b) {
  {
    // The other side exists and would respond.
    pair p{b};
    p.peripheral.add_endpoint(1);
    std::this_thread::sleep_for(after_close);
  }
  pair p{b};
  p.central.scan(true);
  std::this_thread::sleep_for(after_close);
}

void no_callback_after_close(bench& b) {
  for (int round = 0; round < 4; ++round) {
    pair p{b};
    p.bring_up(3);
    const auto e = p.ends_of(1);
    for (std::uint32_t i = 0; i < 100; ++i) {
      p.central.send(e.central, numbered(i, 23));
      p.peripheral.send(e.peripheral, numbered(i, 23));
    }
    auto& first = round % 2 == 0 ? p.central : p.peripheral;
    auto& second = round % 2 == 0 ? p.peripheral : p.central;
    first.close();
    // The other side continues for a while, so that there would be events to report.
    for (std::uint32_t i = 0; i < 100; ++i)
      second.send(round % 2 == 0 ? e.peripheral : e.central, numbered(i, 23));
    std::this_thread::sleep_for(after_close);
    second.close();
  }
  std::this_thread::sleep_for(after_close);
}

/// Both sides send until they are stopped.
class senders {
 public:
  explicit senders(pair& p) {
    for (auto* i : {&p.central, &p.peripheral})
      threads_.emplace_back([this, i] {
        const auto frame = numbered(9, std::min<std::uint32_t>(i->mtu(), 400));
        // Like a host: no call runs once close begins.
        while (on_) {
          for (const auto l : i->heard.up()) {
            const std::lock_guard lock{guard_};
            if (!i->is_open()) return;
            if (i->send(l, frame) == CPNS_OK) ++sent;
          }
          std::this_thread::yield();
        }
      });
  }
  ~senders() { stop(); }
  void stop() {
    on_ = false;
    for (auto& t : threads_) t.join();
    threads_.clear();
  }
  void close(instance& i) {
    const std::lock_guard lock{guard_};
    i.close();
  }
  std::atomic<std::uint64_t> sent{0};

 private:
  std::atomic<bool> on_{true};
  std::mutex guard_;
  std::vector<std::thread> threads_;
};

void close_during_traffic(bench& b) {
  repeat(6, 2, seconds{10}, [&b](int round) {
    pair p{b};
    p.bring_up(p.most(5));
    senders all{p};
    require(p.wait([&] { return all.sent > 200; }), "a link that is up must accept frames");
    auto& closing = round % 2 == 0 ? p.central : p.peripheral;
    auto& other = round % 2 == 0 ? p.peripheral : p.central;
    all.close(closing);
    const auto calls = closing.heard.callbacks();
    require(p.wait([&] { return other.heard.count_up() == 0; }),
            "when an instance closes, its links must go down at the peer");
    all.stop();
    require(closing.heard.callbacks() == calls, "no callback may run after close");
  });
}

void close_while_links_come_up(bench& b) {
  repeat(25, 10, seconds{10}, [&b](int) {
    pair p{b};
    p.central.scan(true);
    for (std::uint64_t e = 1; e <= 4; ++e) p.peripheral.add_endpoint(e);
    const auto pause = std::chrono::microseconds{b.dice() % 80'000};
    p.wait([] { return false; }, std::chrono::duration_cast<milliseconds>(pause));
    if (b.dice() % 2 == 0) p.peripheral.remove_endpoint(1 + b.dice() % 4);
    if (b.dice() % 2 == 0) p.central.scan(false);
    if (b.dice() % 2 == 0) p.central.close();
    p.peripheral.close();
  });
}

void close_from_another_thread(bench& b) {
  for (int round = 0; round < 4; ++round) {
    pair p{b};
    p.bring_up(1);
    std::thread{[&] { p.central.close(); }}.join();
    std::thread{[&] { p.peripheral.close(); }}.join();
  }
}

constexpr test close_list[] = {
    {"close-without-start", "An instance that was never started closes, even after calls without an effect.",
     "close-returns", seconds{60}, close_without_start},
    {"no-callback-before-start", "No callback except log runs before the first scan(on) or add_endpoint.",
     "link-comes-up", seconds{60}, no_callback_before_start},
    {"no-callback-after-close", "No callback runs after close has returned.", "link-comes-up", seconds{90},
     no_callback_after_close},
    {"close-during-traffic", "close during heavy traffic ends all callbacks, and the peer's links go down.",
     "link-comes-up", seconds{120}, close_during_traffic},
    {"close-while-links-come-up", "close works at any moment of scanning and connecting.", "link-comes-up",
     seconds{120}, close_while_links_come_up},
    {"close-from-another-thread", "close may be called from another thread than open.", "link-comes-up",
     seconds{60}, close_from_another_thread},
};

}  // namespace

std::span<const test> close_tests() { return close_list; }

}  // namespace cpns::conformance
