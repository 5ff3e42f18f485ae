// Frames: their sizes, their order, and whether what is declared is true.

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

/// Both directions of one link, one after the other.
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

/// Numbers of the frames that came, in their order, without the marks of ends_of.
std::vector<std::uint32_t> numbers(recorder& r, std::uint64_t link) {
  std::vector<std::uint32_t> out;
  for (const auto& f : r.frames(link))
    if (f.size() >= 4 && number_of(f) < 0xfeed0000u) out.push_back(number_of(f));
  return out;
}

/// Waits until all is heard, or nothing more comes: of a radio that may lose frames for a moment, of another
/// one for so long that no busy machine explains it.
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

/// Frames 0 to n-1 of `size` bytes. Their numbers as they arrived.
std::vector<std::uint32_t> send_flood(const direction& d, std::uint32_t n, std::size_t size) {
  const auto already = d.to.heard.frames(d.in).size();
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto said = d.from.send_until_taken(d.out, numbered(i, size));
    require(said == CPNS_OK,
            "a link that is up takes frames: number " + std::to_string(i) + " ended with " + name_of(said));
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
        const auto said = d.from.send_until_taken(d.out, frame);
        require(said == CPNS_OK, "send takes 1 to mtu (" + std::to_string(mtu) +
                                     ") bytes: " + std::to_string(size) + " ended with " + name_of(said));
        return d.to.heard.wait(
            [&](const auto& links) {
              const auto& got = links.at(d.in).frames;
              return std::find(got.begin(), got.end(), frame) != got.end();
            },
            d.from.reliable() ? milliseconds{timeout} : milliseconds{100});
      });
      if (!heard)
        lost(d.from, "a frame of " + std::to_string(size) + " bytes from the " + name_of(d.from.role) +
                         " does not arrive as it was sent");
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
      const auto said = d.from.send(d.out, {frame.empty() ? &nothing : frame.data(), size});
      require(said != CPNS_OK, "send takes 1 to mtu (" + std::to_string(d.from.mtu()) + ") bytes: it took " +
                                   std::to_string(size));
      if (said != CPNS_LIMIT)
        b.warn("a frame of " + std::to_string(size) + " bytes ended with " + name_of(said) +
               ", CPNS_LIMIT says it better");
    }
    require(d.from.send_until_taken(d.out, numbered(1, 8)) == CPNS_OK,
            "the link lives on after a frame that was refused");
  }
}

/// The rule is watched in every test; here are frames as large as they may be, in number.
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
      const auto said = d.from.send_until_taken(d.out, frame);
      require(said == CPNS_OK, "whatever bytes a frame has, it is taken: it ended with " + name_of(said));
      sent.insert(std::move(frame));
    }
    wait_for_the_rest(d, already.size() + 400);
    const auto got = d.to.heard.frames(d.in);
    for (auto i = already.size(); i < got.size(); ++i)
      require(sent.count(got[i]) != 0, "a frame arrives as it was sent: one of " +
                                           std::to_string(got[i].size()) + " bytes never was sent; --seed " +
                                           std::to_string(b.on.seed) + " repeats it");
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
      lost(d.from, std::to_string(flood - different.size()) + " of " + std::to_string(flood) + " from the " +
                       name_of(d.from.role) + " did not");
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
    require(turned == got.end(), "CPNS_TRAIT_ORDERED says that frames of a link keep their order: from the " +
                                     name_of(d.from.role) + " number " +
                                     (turned == got.end() ? "" : std::to_string(*(turned + 1))) +
                                     " came after " + (turned == got.end() ? "" : std::to_string(*turned)));
  }
}

void one_frame_at_a_time(bench& b) {
  pair p{b};
  // A host that needs a moment for each frame: two calls at once would overlap.
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
    cpns_status said = CPNS_OK;
    // A receiver that is slower than the sender, until the sender is told so.
    while (taken_bytes < 64u * 1024 * 1024 && std::chrono::steady_clock::now() < until) {
      said = d.from.send(d.out, frame);
      if (said != CPNS_OK) break;
      ++taken;
      taken_bytes += frame.size();
    }
    const auto told = [&] {
      std::uint64_t n = 0;
      d.from.heard.wait([&](const auto& links) { return n = links.at(d.out).writable, true; });
      return n;
    };
    slow = false;
    if (said == CPNS_OK) {
      b.warn("a sender of " + std::to_string(taken_bytes / 1024 / 1024) +
             " MiB that a slow receiver had not read was never told to wait");
      continue;
    }
    require(said == CPNS_WOULD_BLOCK, "a full link answers CPNS_WOULD_BLOCK: it was " + name_of(said));
    require(taken >= 1, "a link takes at least one frame before it would block");
    require(p.wait([&] { return told() >= 1; }),
            "writable follows once a send that had returned CPNS_WOULD_BLOCK may be tried again: after " +
                std::to_string(timeout.count()) + " s it had not come");
    const auto again = d.from.send_until_taken(d.out, frame);
    require(again == CPNS_OK, "a link that is writable again takes frames: it was " + name_of(again));
  }
}

void memory_is_bounded(bench& b) {
  pair p{b};
  p.bring_up(1);
  for (const auto& d : both(p)) {
    d.to.heard.keep_frames = false;
    const auto frame = numbered(3, std::min<std::uint32_t>(d.from.mtu(), 500));
    // A slow radio has its time, and as many frames as show.
    constexpr std::uint32_t least = 1000;
    const auto round = [&](std::uint32_t n) {
      const auto until = std::chrono::steady_clock::now() + seconds{8};
      std::uint32_t sent = 0;
      for (; sent < n && (sent < least || std::chrono::steady_clock::now() < until); ++sent)
        require(d.from.send_until_taken(d.out, frame) == CPNS_OK, "a link that is up takes frames");
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
            "frames that arrived are not kept: " + std::to_string(sent) + " of " +
                std::to_string(frame.size()) + " bytes from the " + name_of(d.from.role) + " left " +
                std::to_string((after - before) / 1024) + " KiB allocated");
  }
}

constexpr test traffic_list[] = {
    {"frames-of-every-size", "Frames of 1 byte to the MTU arrive as they were sent, both ways.",
     "link-comes-up", seconds{90}, frames_of_every_size},
    {"frames-out-of-range-are-refused",
     "send refuses a frame of no bytes and one over the MTU; the link lives on.", "link-comes-up",
     seconds{60}, frames_out_of_range_are_refused},
    {"frames-keep-to-the-mtu", "No frame that the plugin hands up is empty or over its own MTU.",
     "link-comes-up", seconds{60}, frames_keep_to_the_mtu},
    {"frames-between-up-and-down", "Frames come between link_up and link_down alone.", "link-comes-up",
     seconds{60},
     [](bench& b) {
       pair p{b};
       repeat(11, 3, seconds{5}, [&p](int round) {
         const auto e = static_cast<std::uint64_t>(round) + 1;
         p.bring_up(1, e);
         const auto at = p.ends_of(e);
         for (std::uint32_t i = 0; i < 50; ++i) p.peripheral.send(at.peripheral, numbered(i, 20));
         p.peripheral.remove_endpoint(e);
         p.wait_for_links(0, "links of an endpoint that was removed go down");
       });
     }},
    {"random-frames-arrive-unchanged",
     "Whatever bytes a peer sends are handed up unchanged, and harm nothing.", "link-comes-up", seconds{60},
     random_frames_arrive_unchanged},
    {"reliable-is-reliable", "If CPNS_TRAIT_RELIABLE is declared, each frame that was taken arrives.",
     "link-comes-up", seconds{90}, reliable_is_reliable},
    {"ordered-is-ordered", "If CPNS_TRAIT_ORDERED is declared, frames of a link keep their order.",
     "link-comes-up", seconds{90}, ordered_is_ordered},
    {"one-frame-at-a-time", "One call of frame at a time for one link.", "link-comes-up", seconds{60},
     one_frame_at_a_time},
    {"writable-after-would-block",
     "A full link says CPNS_WOULD_BLOCK, then writable, and takes frames again.", "link-comes-up",
     seconds{120}, writable_after_would_block},
    {"memory-is-bounded", "Frames that have arrived leave nothing in memory.", "link-comes-up", seconds{120},
     memory_is_bounded},
};

}  // namespace

std::span<const test> traffic_tests() { return traffic_list; }

}  // namespace cpns::conformance
