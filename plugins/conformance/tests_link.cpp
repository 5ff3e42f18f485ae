// Links: how they come, are told of, and go.

#include <algorithm>

#include "plugins/conformance/instance.hpp"
#include "plugins/conformance/test.hpp"

namespace cpns::conformance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// How long a test watches for what must not come. What comes later is missed, what is right never fails.
constexpr milliseconds awhile{200};

void watch_awhile() { std::this_thread::sleep_for(awhile); }

void link_comes_up(bench& b) {
  pair p{b};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  require(p.central.send_until_taken(e.central, numbered(7, 8)) == CPNS_OK, "a link that is up takes frames");
  // Only a radio that may lose frames has an excuse, and it is tried often.
  const auto heard = p.wait([&] {
    if (!p.central.reliable()) p.central.send_until_taken(e.central, numbered(7, 8));
    return !p.peripheral.heard.frames(e.peripheral).empty();
  });
  if (!heard) lost(p.central, "a frame of the central did not reach the peripheral");
}

void link_ids_are_new(bench& b) {
  pair p{b};
  p.bring_up(2);
  repeat(15, 3, seconds{5}, [&p](int) {
    p.peripheral.remove_endpoint(1);
    p.wait_for_links(1, "links of an endpoint that was removed go down");
    p.peripheral.add_endpoint(1);
    p.wait_for_links(2, "an endpoint that was presented again gets a link");
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
  p.wait_for_links(0, "links of endpoints that were removed go down");
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
  require(gone(p.central.heard, one.central), "link_down follows disconnect: the central was not told");
  require(gone(p.peripheral.heard, one.peripheral),
          "the peer of a link that was disconnected hears link_down");
  p.peripheral.remove_endpoint(2);
  require(gone(p.peripheral.heard, two.peripheral),
          "links of an endpoint that was removed go down: it was not told");
  require(gone(p.central.heard, two.central),
          "links of an endpoint that was removed go down at the peer too");
  p.peripheral.close();
  require(p.central.heard.wait([](const auto& links) {
    return std::none_of(links.begin(), links.end(), [](const auto& l) { return l.second.up; });
  }),
          "links go down at the peer of an instance that was closed");
}

void endpoints_are_named(bench& b) {
  pair p{b};
  const std::uint64_t names[] = {1, 7, 0xffffffffffull, 2};
  if (std::min(p.central.limits.max_links, p.peripheral.limits.max_endpoints) < 4)
    throw test_skipped{"it declares fewer than 4 links"};
  p.bring_up(0);
  for (const auto n : names)
    require(p.peripheral.add_endpoint(n) == CPNS_OK, "add_endpoint takes any id but 0");
  p.wait_for_links(4, "each endpoint gets a link");
  require(p.peripheral.heard.wait([&](const auto& links) {
    return std::all_of(std::begin(names), std::end(names), [&](std::uint64_t n) {
      return std::count_if(links.begin(), links.end(),
                           [n](const auto& l) { return l.second.up && l.second.endpoint == n; }) == 1;
    });
  }),
          "link_up of a peripheral names the endpoint: not each of four has one link");
}

void removed_endpoints_stay_away(bench& b) {
  pair p{b};
  p.bring_up(2);
  p.peripheral.remove_endpoint(1);
  p.peripheral.remove_endpoint(1);
  p.peripheral.remove_endpoint(4711);
  p.wait_for_links(1, "links of an endpoint that was removed go down");
  watch_awhile();
  p.connect_to_found();
  watch_awhile();
  require(p.peripheral.heard.count_up() == 1,
          "an endpoint that was removed is presented no longer: it got a link");
}

void dead_links_take_nothing(bench& b) {
  pair p{b};
  const auto frame = numbered(1, 8);
  for (auto* i : {&p.central, &p.peripheral})
    for (const std::uint64_t link : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
      const auto said = i->send(link, frame);
      require(said == CPNS_NO_LINK,
              "send over a link that never was ends with CPNS_NO_LINK: it was " + name_of(said));
      i->disconnect(link);
    }
  p.bring_up(2);
  const auto e = p.ends_of(1);
  p.peripheral.remove_endpoint(1);
  p.wait_for_links(1, "links of an endpoint that was removed go down");
  for (const auto said : {p.central.send(e.central, frame), p.peripheral.send(e.peripheral, frame)})
    require(said == CPNS_NO_LINK, "send after link_down ends with CPNS_NO_LINK: it was " + name_of(said));
  p.central.disconnect(e.central);
  p.peripheral.disconnect(e.peripheral);
  const auto two = p.ends_of(2);
  require(p.central.send_until_taken(two.central, frame) == CPNS_OK, "another link is not disturbed");
}

void max_links_is_kept(bench& b) {
  constexpr std::uint32_t few = 32;
  pair p{b, b.on.few_links};
  const auto most = std::min(p.central.limits.max_links, p.peripheral.limits.max_endpoints);
  if (p.central.limits.max_links > few)
    throw test_skipped{"it declares " + std::to_string(p.central.limits.max_links) +
                       " links; parameters that lower this belong under few_links: in the check file"};
  p.central.scan(true);
  for (std::uint32_t i = 1; i <= most + 3; ++i) {
    const auto said = p.peripheral.add_endpoint(i);
    require(said == CPNS_OK || (said == CPNS_LIMIT && i > p.peripheral.limits.max_endpoints),
            "add_endpoint number " + std::to_string(i) + " of " +
                std::to_string(p.peripheral.limits.max_endpoints) + " answered " + name_of(said));
  }
  const bool all_up = p.wait([&] { return p.central.heard.count_up() == most; });
  require(all_up, "as many links as are declared come up: " + std::to_string(p.central.heard.count_up()) +
                      " of " + std::to_string(most) + " did");
  watch_awhile();
  require(p.central.heard.count_up() <= most, "no more links come up than max_links");
}

void scan_off_finds_no_more(bench& b) {
  pair p{b};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  require(p.central.scan(false) == CPNS_OK && p.central.scan(false) == CPNS_OK,
          "scan(off) is taken, also twice");
  watch_awhile();
  p.central.heard.take_found();
  require(p.peripheral.add_endpoint(2) == CPNS_OK, "add_endpoint of a second endpoint is taken");
  watch_awhile();
  require(p.central.heard.count_up() == 1 && p.central.heard.take_found().empty(),
          "scan(off) stops looking for PNEs: another one was found");
  require(p.central.send_until_taken(e.central, numbered(1, 8)) == CPNS_OK, "links outlive scan(off)");
  require(p.central.scan(true) == CPNS_OK && p.central.scan(true) == CPNS_OK,
          "scan(on) is taken, also twice");
  p.wait_for_links(2, "after scan(on) the PNE that waited is found");
}

void scan_while_connected(bench& b) {
  pair p{b};
  if ((p.central.limits.traits & CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED) == 0)
    throw test_skipped{"CPNS_TRAIT_MAY_SCAN_WHILE_CONNECTED is not declared"};
  p.bring_up(1);
  const auto e = p.ends_of(1);
  p.bring_up(1, 2);
  require(p.central.send_until_taken(e.central, numbered(1, 8)) == CPNS_OK,
          "the first link stays up meanwhile");
}

void whoever_comes_first_waits(bench& b) {
  const auto met = b.draw();
  instance pne{b, CPNS_ROLE_PERIPHERAL, met.peripheral};
  require(pne.add_endpoint(1) == CPNS_OK, "add_endpoint is taken while there is no central");
  watch_awhile();
  for (int round = 0; round < 2; ++round) {
    instance gateway{b, CPNS_ROLE_CENTRAL, met.central};
    require(gateway.scan(true) == CPNS_OK, "scan(on) is taken");
    require(gateway.heard.wait([&](const auto&) { return true; }), "");
    // The second one may first have to end what is left of the first.
    const auto until = std::chrono::steady_clock::now() + (round + 1) * timeout;
    while (gateway.heard.count_up() == 0 && std::chrono::steady_clock::now() < until) {
      for (const auto& address : gateway.heard.take_found()) gateway.connect(address);
      std::this_thread::sleep_for(milliseconds{1});
    }
    require(gateway.heard.count_up() == 1, round == 0 ? "a PNE that was there before the central is found"
                                                      : "a central that was opened again finds its PNE");
    gateway.close();
    require(pne.heard.wait([](const auto& links) {
      return std::none_of(links.begin(), links.end(), [](const auto& l) { return l.second.up; });
    }),
            "links go down at the peer of an instance that was closed");
  }
}

void strangers_do_not_meet(bench& b) {
  const auto drawn = b.draw(), again = b.draw();
  if (drawn.central == again.central && drawn.peripheral == again.peripheral)
    throw test_skipped{"nothing in the parameters keeps two networks apart ({run} in the check file)"};
  pair ours{b};
  instance stranger{b, CPNS_ROLE_PERIPHERAL, b.draw().peripheral};
  require(stranger.add_endpoint(1) == CPNS_OK, "add_endpoint is taken");
  ours.bring_up(1);
  ours.ends_of(1);
  watch_awhile();
  require(stranger.heard.count_up() == 0 && ours.central.heard.count_up() == 1,
          "a PNE of another network got a link");
}

void calls_of_the_other_role(bench& b) {
  pair p{b};
  const auto scanned = p.peripheral.scan(true);
  require(scanned == CPNS_UNSUPPORTED,
          "scan of a peripheral ends with CPNS_UNSUPPORTED: it was " + name_of(scanned));
  const auto added = p.central.add_endpoint(1);
  require(added == CPNS_UNSUPPORTED,
          "add_endpoint of a central ends with CPNS_UNSUPPORTED: it was " + name_of(added));
  const auto connected = p.peripheral.connect("nowhere");
  require(connected != CPNS_OK, "connect of a peripheral is refused");
  p.central.remove_endpoint(1);
}

constexpr test link_list[] = {
    {"link-comes-up", "What is presented is found by a central that scans, and frames go both ways.",
     "close-returns", seconds{60}, link_comes_up},
    {"link-ids-are-new",
     "Ids of links only grow and are not used twice, however often a link comes and goes.", "link-comes-up",
     seconds{90}, link_ids_are_new},
    {"link-down-once", "link_down comes once for each link that was up, in whatever way it ended.",
     "link-comes-up", seconds{60}, link_down_once},
    {"links-go-down-on-both-sides",
     "Both sides hear of the end of a link: disconnect, an endpoint removed, close.", "link-comes-up",
     seconds{90}, links_go_down_on_both_sides},
    {"endpoints-are-named", "link_up names the endpoint at a peripheral and 0 at a central.", "link-comes-up",
     seconds{60}, endpoints_are_named},
    {"removed-endpoints-stay-away",
     "An endpoint that was removed gets no link any more; unknown ones are ignored.", "link-comes-up",
     seconds{60}, removed_endpoints_stay_away},
    {"dead-links-take-nothing",
     "send over a link that is not up ends in CPNS_NO_LINK; disconnect ignores it.", "link-comes-up",
     seconds{60}, dead_links_take_nothing},
    {"max-links-is-kept", "As many links as are declared come up, and no more.", "link-comes-up", seconds{60},
     max_links_is_kept},
    {"scan-off-finds-no-more", "scan(off) stops the search, keeps the links, and scan(on) goes on.",
     "link-comes-up", seconds{60}, scan_off_finds_no_more},
    {"scan-while-connected", "If declared, PNEs are found while links are up.", "link-comes-up", seconds{60},
     scan_while_connected},
    {"whoever-comes-first-waits",
     "The order in which both sides start does not matter, nor that one starts again.", "link-comes-up",
     seconds{90}, whoever_comes_first_waits},
    {"strangers-do-not-meet", "Instances of different networks get no link to each other.", "link-comes-up",
     seconds{60}, strangers_do_not_meet},
    {"calls-of-the-other-role", "Calls that belong to the other role end in CPNS_UNSUPPORTED.",
     "link-comes-up", seconds{20}, calls_of_the_other_role},
};

}  // namespace

std::span<const test> link_tests() { return link_list; }

}  // namespace cpns::conformance
