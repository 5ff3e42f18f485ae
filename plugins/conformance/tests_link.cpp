// Links: how they come up, are reported, and go down.

#include <algorithm>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// How long a test waits for an event that must not happen. A later one is missed, but a correct plugin never
/// fails.
constexpr milliseconds quiet_time{200};

void wait_quietly() { std::this_thread::sleep_for(quiet_time); }

void link_comes_up(bench& b) {
  pair p{b};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  require(p.central.send_until_taken(e.central, numbered(7, 8)) == CPNS_OK,
          "a link that is up must accept frames");
  // Repeats only for an unreliable radio.
  const auto heard = p.wait([&] {
    if (!p.central.reliable()) p.central.send_until_taken(e.central, numbered(7, 8));
    return !p.peripheral.heard.frames(e.peripheral).empty();
  });
  if (!heard) frame_lost(p.central, "a frame of the central did not reach the peripheral");
}

void link_ids_are_new(bench& b) {
  pair p{b};
  p.bring_up(2);
  repeat(15, 3, seconds{5}, [&p](int) {
    p.peripheral.remove_endpoint(1);
    p.wait_for_links(1, "links of a removed endpoint must go down");
    p.peripheral.add_endpoint(1);
    p.wait_for_links(2, "an endpoint that is added again must get a link");
  });
}

void link_down_once(bench& b) {
  pair p{b};
  p.bring_up(3);
  // Three ways to end a link, at once.
  const auto central_link = p.central.heard.up().front();
  const auto e = p.ends_of(2);
  p.central.disconnect(central_link);
  p.peripheral.disconnect(p.peripheral.heard.up().front());
  p.peripheral.remove_endpoint(2);
  p.central.disconnect(e.central);
  p.central.disconnect(e.central);
  p.peripheral.remove_endpoint(1);
  p.peripheral.remove_endpoint(3);
  p.wait_for_links(0, "links of removed endpoints must go down");
  p.peripheral.close();
  p.central.close();
}

void links_go_down_on_both_sides(bench& b) {
  pair p{b};
  p.bring_up(3);
  const auto one = p.ends_of(1), two = p.ends_of(2);
  const auto gone = [&p](recorder& r, std::uint64_t link) {
    return p.wait([&] {
      const auto up = r.up();
      return std::find(up.begin(), up.end(), link) == up.end();
    });
  };
  p.central.disconnect(one.central);
  require(gone(p.central.heard, one.central),
          "link_down must follow disconnect: the central did not call it");
  require(gone(p.peripheral.heard, one.peripheral), "after disconnect the peer's link must go down");
  p.peripheral.remove_endpoint(2);
  require(gone(p.peripheral.heard, two.peripheral),
          "links of a removed endpoint must go down: the peripheral did not call link_down");
  require(gone(p.central.heard, two.central), "links of a removed endpoint must go down at the peer, too");
  p.peripheral.close();
  require(p.central.heard.wait([](const auto& links) {
    return std::none_of(links.begin(), links.end(), [](const auto& l) { return l.second.up; });
  }),
          "when an instance closes, its links must go down at the peer");
}

void endpoints_are_named(bench& b) {
  pair p{b};
  const std::uint64_t names[] = {1, 7, 0xffffffffffull, 2};
  if (std::min(p.central.limits.max_links, p.peripheral.limits.max_endpoints) < 4)
    throw test_skipped{"the plugin declares fewer than 4 links"};
  p.bring_up(0);
  for (const auto n : names)
    require(p.peripheral.add_endpoint(n) == CPNS_OK, "add_endpoint must accept any id but 0");
  p.wait_for_links(4, "each endpoint must get a link");
  require(p.peripheral.heard.wait([&](const auto& links) {
    return std::all_of(std::begin(names), std::end(names), [&](std::uint64_t n) {
      return std::count_if(links.begin(), links.end(),
                           [n](const auto& l) { return l.second.up && l.second.endpoint == n; }) == 1;
    });
  }),
          "link_up of a peripheral must name the endpoint: not each of four endpoints has one link");
}

void removed_endpoints_stay_away(bench& b) {
  pair p{b};
  p.bring_up(2);
  p.peripheral.remove_endpoint(1);
  p.peripheral.remove_endpoint(1);
  p.peripheral.remove_endpoint(4711);
  p.wait_for_links(1, "links of a removed endpoint must go down");
  wait_quietly();
  p.connect_to_found();
  wait_quietly();
  require(p.peripheral.heard.count_up() == 1,
          "a removed endpoint must not be presented anymore: it got a link");
}

void dead_links_take_nothing(bench& b) {
  pair p{b};
  const auto frame = numbered(1, 8);
  for (auto* i : {&p.central, &p.peripheral})
    for (const std::uint64_t link : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
      const auto sent = i->send(link, frame);
      require(sent == CPNS_NO_LINK,
              "send over a link that never existed must return CPNS_NO_LINK: it returned " + name_of(sent));
      i->disconnect(link);
    }
  p.bring_up(2);
  const auto e = p.ends_of(1);
  p.peripheral.remove_endpoint(1);
  p.wait_for_links(1, "links of a removed endpoint must go down");
  for (const auto sent : {p.central.send(e.central, frame), p.peripheral.send(e.peripheral, frame)})
    require(sent == CPNS_NO_LINK,
            "send after link_down must return CPNS_NO_LINK: it returned " + name_of(sent));
  p.central.disconnect(e.central);
  p.peripheral.disconnect(e.peripheral);
  const auto two = p.ends_of(2);
  require(p.central.send_until_taken(two.central, frame) == CPNS_OK,
          "a removed endpoint must not affect another link: a send over it failed");
}

void max_links_is_kept(bench& b) {
  constexpr std::uint32_t few = 32;
  pair p{b, b.on.few_links};
  const auto most = std::min(p.central.limits.max_links, p.peripheral.limits.max_endpoints);
  if (p.central.limits.max_links > few)
    throw test_skipped{"the plugin declares " + std::to_string(p.central.limits.max_links) +
                       " links; set parameters that lower this under few_links: in the check file"};
  p.central.scan(true);
  for (std::uint32_t i = 1; i <= most + 3; ++i) {
    const auto added = p.peripheral.add_endpoint(i);
    require(added == CPNS_OK || (added == CPNS_LIMIT && i > p.peripheral.limits.max_endpoints),
            "add_endpoint number " + std::to_string(i) + " of " +
                std::to_string(p.peripheral.limits.max_endpoints) + " returned " + name_of(added));
  }
  const bool all_up = p.wait([&] { return p.central.heard.count_up() == most; });
  require(all_up, "as many links as declared must come up: " + std::to_string(p.central.heard.count_up()) +
                      " of " + std::to_string(most) + " did");
  wait_quietly();
  require(p.central.heard.count_up() <= most, "no more links than max_links may come up");
}

void scan_off_finds_no_more(bench& b) {
  pair p{b};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  require(p.central.scan(false) == CPNS_OK && p.central.scan(false) == CPNS_OK,
          "scan(off) must succeed, even twice");
  wait_quietly();
  p.central.heard.take_found();
  require(p.peripheral.add_endpoint(2) == CPNS_OK, "add_endpoint of a second endpoint must succeed");
  wait_quietly();
  require(p.central.heard.count_up() == 1 && p.central.heard.take_found().empty(),
          "scan(off) must stop scanning for PNEs: another one was found");
  require(p.central.send_until_taken(e.central, numbered(1, 8)) == CPNS_OK,
          "links must stay up after scan(off): a send failed");
  require(p.central.scan(true) == CPNS_OK && p.central.scan(true) == CPNS_OK,
          "scan(on) must succeed, even twice");
  p.wait_for_links(2, "after scan(on) a waiting PNE must be found");
}

void scan_while_connected(bench& b) {
  pair p{b};
  if ((p.central.limits.traits & CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED) == 0)
    throw test_skipped{"CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED is not declared"};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  p.bring_up(1, 2);
  require(p.central.send_until_taken(e.central, numbered(1, 8)) == CPNS_OK,
          "scanning must not affect a link: a send over the first link failed");
}

void start_order_does_not_matter(bench& b) {
  const auto met = b.draw();
  instance pne{b, CPNS_ROLE_PERIPHERAL, met.peripheral};
  require(pne.add_endpoint(1) == CPNS_OK, "add_endpoint must succeed without a central");
  wait_quietly();
  for (int round = 0; round < 2; ++round) {
    instance gateway{b, CPNS_ROLE_CENTRAL, met.central};
    require(gateway.scan(true) == CPNS_OK, "scan(on) must succeed");
    require(gateway.heard.wait([&](const auto&) { return true; }), "");
    // Longer for the second one: the PNE may first have to notice the end of the first.
    const auto until = std::chrono::steady_clock::now() + (round + 1) * timeout;
    while (gateway.heard.count_up() == 0 && std::chrono::steady_clock::now() < until) {
      for (const auto& address : gateway.heard.take_found()) gateway.connect(address);
      std::this_thread::sleep_for(milliseconds{1});
    }
    require(gateway.heard.count_up() == 1, round == 0 ? "a PNE that opened before the central must be found"
                                                      : "a central that was opened again must find its PNE");
    gateway.close();
    require(pne.heard.wait([](const auto& links) {
      return std::none_of(links.begin(), links.end(), [](const auto& l) { return l.second.up; });
    }),
            "when an instance closes, its links must go down at the peer");
  }
}

void strangers_do_not_meet(bench& b) {
  const auto drawn = b.draw(), again = b.draw();
  if (drawn.central == again.central && drawn.peripheral == again.peripheral)
    throw test_skipped{"no parameter separates two networks (use {run} in the check file)"};
  pair one{b};
  instance stranger{b, CPNS_ROLE_PERIPHERAL, b.draw().peripheral};
  require(stranger.add_endpoint(1) == CPNS_OK, "add_endpoint must succeed");
  one.bring_up(1);
  one.ends_of(1);
  wait_quietly();
  require(stranger.heard.count_up() == 0 && one.central.heard.count_up() == 1,
          "a PNE of another network must not get a link: it got one");
}

void calls_of_the_other_role(bench& b) {
  pair p{b};
  const auto scanned = p.peripheral.scan(true);
  require(scanned == CPNS_UNSUPPORTED,
          "scan of a peripheral must return CPNS_UNSUPPORTED: it returned " + name_of(scanned));
  const auto added = p.central.add_endpoint(1);
  require(added == CPNS_UNSUPPORTED,
          "add_endpoint of a central must return CPNS_UNSUPPORTED: it returned " + name_of(added));
  const auto connected = p.peripheral.connect("nowhere");
  require(connected != CPNS_OK, "connect of a peripheral must fail: it returned CPNS_OK");
  p.central.remove_endpoint(1);
}

constexpr test link_list[] = {
    {"link-comes-up",
     "A scanning central gets a link to a presented endpoint, and frames arrive in both directions.",
     "close-returns", seconds{60}, link_comes_up},
    {"link-ids-are-new", "Link ids only grow and are never reused.", "link-comes-up", seconds{90},
     link_ids_are_new},
    {"link-down-once", "link_down is called once for each link that was up, however it ended.",
     "link-comes-up", seconds{60}, link_down_once},
    {"links-go-down-on-both-sides",
     "After disconnect, remove_endpoint or close a link goes down on both sides.", "link-comes-up",
     seconds{90}, links_go_down_on_both_sides},
    {"endpoints-are-named", "link_up has the endpoint at a peripheral, and 0 at a central.", "link-comes-up",
     seconds{60}, endpoints_are_named},
    {"removed-endpoints-stay-away",
     "A removed endpoint gets no link anymore; removing an unknown one has no effect.", "link-comes-up",
     seconds{60}, removed_endpoints_stay_away},
    {"dead-links-take-nothing",
     "send over a link that is not up returns CPNS_NO_LINK; disconnect has no effect on it.", "link-comes-up",
     seconds{60}, dead_links_take_nothing},
    {"max-links-is-kept", "As many links as declared come up, and no more.", "link-comes-up", seconds{60},
     max_links_is_kept},
    {"scan-off-finds-no-more", "scan(off) stops scanning and keeps links up; scan(on) resumes.",
     "link-comes-up", seconds{60}, scan_off_finds_no_more},
    {"scan-while-connected", "With CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED, PNEs are found while links are up.",
     "link-comes-up", seconds{60}, scan_while_connected},
    {"whoever-comes-first-waits", "Both sides may start in any order, and one side may restart.",
     "link-comes-up", seconds{90}, start_order_does_not_matter},
    {"strangers-do-not-meet", "Instances of different networks get no link to each other.", "link-comes-up",
     seconds{60}, strangers_do_not_meet},
    {"calls-of-the-other-role", "Calls of the other role return CPNS_UNSUPPORTED.", "link-comes-up",
     seconds{20}, calls_of_the_other_role},
};

}  // namespace

std::span<const test> link_tests() { return link_list; }

}  // namespace cpns::conformance
