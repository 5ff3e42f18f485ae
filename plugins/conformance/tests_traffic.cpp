// Frames: sizes, order, and the declared traits.

#include <algorithm>
#include <atomic>
#include <set>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/process.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t flood = 3000;

/// One direction of a link.
struct direction {
  instance& from;
  instance& to;
  std::uint64_t out, in;
};
std::vector<direction> both(pair& p) {
  const auto e = p.ends_of(1);
  return {{p.central, p.peripheral, e.central, e.peripheral},
          {p.peripheral, p.central, e.peripheral, e.central}};
}

/// Numbers of the received frames, in order, without the marks of ends_of().
std::vector<std::uint32_t> numbers(recorder& r, std::uint64_t link) {
  std::vector<std::uint32_t> out;
  for (const auto& f : r.frames(link))
    if (f.size() >= 4 && number_of(f) < 0xfeed0000u) out.push_back(number_of(f));
  return out;
}

/// Waits until all frames have arrived, or none arrives anymore: for a short time with an unreliable radio,
/// otherwise longer than any delay of a busy machine.
void wait_for_the_rest(const direction& d, std::size_t expected) {
  const auto silence = d.from.reliable() ? milliseconds{5000} : milliseconds{300};
  for (std::uint64_t before = ~0ull, now = 0; before != now;) {
    before = now;
    const bool all = d.to.heard.wait(
        [&](const auto& links) {
          const auto it = links.find(d.in);
          return it != links.end() && it->second.received >= expected;
        },
        silence);
    if (all) return;
    now = d.to.heard.callbacks();
  }
}

/// Sends frames 0 to n-1 of `size` bytes. Returns their numbers in the order of arrival.
std::vector<std::uint32_t> send_flood(const direction& d, std::uint32_t n, std::size_t size) {
  const auto already = d.to.heard.frames(d.in).size();
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto sent = d.from.send_until_taken(d.out, numbered(i, size));
    require(sent == CPNS_OK, "a link that is up must accept frames: send number " + std::to_string(i) +
                                 " returned " + name_of(sent));
  }
  wait_for_the_rest(d, already + n);
  return numbers(d.to.heard, d.in);
}

void frames_of_every_size(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    const std::size_t mtu = d.from.mtu();
    d.to.heard.wait([](const auto&) { return true; });
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{2}, std::size_t{22}, std::size_t{23}, mtu / 2, mtu - 1, mtu}) {
      const auto frame = numbered(static_cast<std::uint32_t>(size), size);
      const auto heard = p.wait([&] {
        const auto sent = d.from.send_until_taken(d.out, frame);
        require(sent == CPNS_OK, "send must accept 1 to mtu (" + std::to_string(mtu) + ") bytes: for " +
                                     std::to_string(size) + " it returned " + name_of(sent));
        return d.to.heard.wait(
            [&](const auto& links) {
              const auto& got = links.at(d.in).frames;
              return std::find(got.begin(), got.end(), frame) != got.end();
            },
            d.from.reliable() ? milliseconds{timeout} : milliseconds{100});
      });
      if (!heard)
        frame_lost(d.from, "a frame of " + std::to_string(size) + " bytes from the " + name_of(d.from.role) +
                               " did not arrive unchanged");
    }
  }
}

void frames_out_of_range_are_refused(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{d.from.mtu()} + 1, std::size_t{d.from.mtu()} + 70000}) {
      const bytes frame(size, 0x41);
      const std::uint8_t nothing = 0;
      const auto sent = d.from.send(d.out, {frame.empty() ? &nothing : frame.data(), size});
      require(sent != CPNS_OK, "send must refuse a frame that has not 1 to mtu (" +
                                   std::to_string(d.from.mtu()) + ") bytes: it accepted " +
                                   std::to_string(size));
      if (sent != CPNS_LIMIT)
        b.warn("send should return CPNS_LIMIT for a frame of " + std::to_string(size) +
               " bytes: it returned " + name_of(sent));
    }
    require(d.from.send_until_taken(d.out, numbered(1, 8)) == CPNS_OK,
            "a link must stay up after send refused a frame");
  }
}

/// Every test checks this rule; this one sends many frames of the maximum size.
void frames_keep_to_the_mtu(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (const auto& d : both(p)) send_flood(d, 50, d.from.mtu());
}

void random_frames_arrive_unchanged(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    std::multiset<bytes> sent;
    const auto already = d.to.heard.frames(d.in);
    for (int i = 0; i < 400; ++i) {
      bytes frame(1 + b.dice() % d.from.mtu());
      for (auto& byte : frame) byte = static_cast<std::uint8_t>(b.dice());
      const auto status = d.from.send_until_taken(d.out, frame);
      require(status == CPNS_OK, "send must accept any bytes: it returned " + name_of(status));
      sent.insert(std::move(frame));
    }
    wait_for_the_rest(d, already.size() + 400);
    const auto got = d.to.heard.frames(d.in);
    for (auto i = already.size(); i < got.size(); ++i)
      require(sent.count(got[i]) != 0, "a frame must arrive unchanged: one of " +
                                           std::to_string(got[i].size()) + " bytes was never sent; --seed " +
                                           std::to_string(b.on.seed) + " repeats the frames");
  }
}

void reliable_is_reliable(bench& b) {
  pair p{b};
  if (!p.central.reliable() || !p.peripheral.reliable())
    throw test_skipped{"CPNS_TRAIT_RELIABLE is not declared"};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    const auto got = send_flood(d, flood, std::min<std::size_t>(d.from.mtu(), 200));
    const std::set<std::uint32_t> different(got.begin(), got.end());
    if (different.size() != flood)
      frame_lost(d.from, std::to_string(flood - different.size()) + " of " + std::to_string(flood) +
                             " frames from the " + name_of(d.from.role) + " did not arrive");
  }
}

void ordered_is_ordered(bench& b) {
  pair p{b};
  if (!p.central.ordered() || !p.peripheral.ordered())
    throw test_skipped{"CPNS_TRAIT_ORDERED is not declared"};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    const auto got = send_flood(d, flood, std::min<std::size_t>(d.from.mtu(), 40));
    const auto turned = std::adjacent_find(got.begin(), got.end(), std::greater<>{});
    require(turned == got.end(),
            "with CPNS_TRAIT_ORDERED frames must keep their order: from the " + name_of(d.from.role) +
                " number " + (turned == got.end() ? "" : std::to_string(*(turned + 1))) + " arrived after " +
                (turned == got.end() ? "" : std::to_string(*turned)));
  }
}

void one_frame_at_a_time(bench& b) {
  pair p{b};
  // The host takes a moment for each frame, so that concurrent calls overlap.
  p.central.heard.on.frame = [](std::uint64_t, std::span<const std::uint8_t>) {
    std::this_thread::sleep_for(milliseconds{1});
  };
  p.bring_up(1);
  const auto e = p.ends_of(1);
  send_flood({p.peripheral, p.central, e.peripheral, e.central}, 200,
             std::min<std::size_t>(p.peripheral.mtu(), 30));
}

void writable_after_would_block(bench& b) {
  std::atomic<bool> slow{false};  // outlives the instances, whose threads read it
  pair p{b};
  for (auto* i : {&p.central, &p.peripheral})
    i->heard.on.frame = [&slow](std::uint64_t, std::span<const std::uint8_t>) {
      if (slow) std::this_thread::sleep_for(milliseconds{5});
    };
  p.bring_up(1);
  for (const auto& d : both(p)) {
    d.to.heard.keep_frames = false;
    slow = true;
    std::uint64_t taken = 0, taken_bytes = 0;
    const auto until = std::chrono::steady_clock::now() + seconds{4};
    const auto frame = numbered(1, d.from.mtu());
    cpns_status sent = CPNS_OK;
    // The receiver is slower than the sender, until send returns CPNS_WOULD_BLOCK.
    while (taken_bytes < 64u * 1024 * 1024 && std::chrono::steady_clock::now() < until) {
      sent = d.from.send(d.out, frame);
      if (sent != CPNS_OK) break;
      ++taken;
      taken_bytes += frame.size();
    }
    const auto writable_calls = [&] {
      std::uint64_t n = 0;
      d.from.heard.wait([&](const auto& links) { return n = links.at(d.out).writable, true; });
      return n;
    };
    slow = false;
    if (sent == CPNS_OK) {
      b.warn("send should return CPNS_WOULD_BLOCK for a slow receiver: it accepted " +
             std::to_string(taken_bytes / 1024 / 1024) + " MiB");
      continue;
    }
    require(sent == CPNS_WOULD_BLOCK,
            "send over a full link must return CPNS_WOULD_BLOCK: it returned " + name_of(sent));
    require(taken >= 1, "a link must accept at least one frame before CPNS_WOULD_BLOCK");
    require(p.wait([&] { return writable_calls() >= 1; }),
            "writable must follow a send that returned CPNS_WOULD_BLOCK: it was not called within " +
                std::to_string(timeout.count()) + " s");
    const auto again = d.from.send_until_taken(d.out, frame);
    require(again == CPNS_OK, "a link must accept frames after writable: send returned " + name_of(again));
  }
}

void memory_is_bounded(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    d.to.heard.keep_frames = false;
    const auto frame = numbered(3, std::min<std::uint32_t>(d.from.mtu(), 500));
    // A slow radio sends fewer frames, but enough to show a leak.
    constexpr std::uint32_t least = 1000;
    const auto round = [&](std::uint32_t n) {
      const auto until = std::chrono::steady_clock::now() + seconds{8};
      std::uint32_t sent = 0;
      for (; sent < n && (sent < least || std::chrono::steady_clock::now() < until); ++sent)
        require(d.from.send_until_taken(d.out, frame) == CPNS_OK, "a link that is up must accept frames");
      std::uint64_t before = ~0ull;
      for (std::uint64_t now = 0; before != now; now = d.to.heard.callbacks()) {
        before = now;
        d.to.heard.wait([](const auto&) { return false; }, milliseconds{100});
      }
      return sent;
    };
    round(least / 3);
    const auto before = allocated_bytes();
    const auto sent = round(20000);
    const auto after = allocated_bytes();
    require(after < before + std::min<std::size_t>(2u * 1024 * 1024, sent * frame.size() / 2),
            "frames that arrived must be freed: " + std::to_string(sent) + " frames of " +
                std::to_string(frame.size()) + " bytes from the " + name_of(d.from.role) + " left " +
                std::to_string((after - before) / 1024) + " KiB allocated");
  }
}

constexpr test traffic_list[] = {
    {"frames-of-every-size", "Frames of 1 byte up to the MTU arrive unchanged in both directions.",
     "link-comes-up", seconds{90}, frames_of_every_size},
    {"frames-out-of-range-are-refused",
     "send refuses an empty frame and one larger than the MTU; the link stays up.", "link-comes-up",
     seconds{60}, frames_out_of_range_are_refused},
    {"frames-keep-to-the-mtu", "No frame that the plugin passes to the host is empty or larger than its MTU.",
     "link-comes-up", seconds{60}, frames_keep_to_the_mtu},
    {"frames-between-up-and-down", "frame is called only between link_up and link_down.", "link-comes-up",
     seconds{60},
     [](bench& b) {
       pair p{b};
       repeat(11, 3, seconds{5}, [&p](int round) {
         const auto e = static_cast<std::uint64_t>(round) + 1;
         p.bring_up(1, e);
         const auto at = p.ends_of(e);
         for (std::uint32_t i = 0; i < 50; ++i) p.peripheral.send(at.peripheral, numbered(i, 20));
         p.peripheral.remove_endpoint(e);
         p.wait_for_links(0, "links of a removed endpoint must go down");
       });
     }},
    {"random-frames-arrive-unchanged", "Frames of random bytes arrive unchanged and do no harm.",
     "link-comes-up", seconds{60}, random_frames_arrive_unchanged},
    {"reliable-is-reliable", "With CPNS_TRAIT_RELIABLE, every accepted frame arrives.", "link-comes-up",
     seconds{90}, reliable_is_reliable},
    {"ordered-is-ordered", "With CPNS_TRAIT_ORDERED, the frames of a link keep their order.", "link-comes-up",
     seconds{90}, ordered_is_ordered},
    {"one-frame-at-a-time", "frame is called once at a time per link.", "link-comes-up", seconds{60},
     one_frame_at_a_time},
    {"writable-after-would-block",
     "send over a full link returns CPNS_WOULD_BLOCK; then writable is called, and send succeeds again.",
     "link-comes-up", seconds{120}, writable_after_would_block},
    {"memory-is-bounded", "The memory of frames that have arrived is freed.", "link-comes-up", seconds{120},
     memory_is_bounded},
};

}  // namespace

std::span<const test> traffic_tests() { return traffic_list; }

}  // namespace cpns::conformance
