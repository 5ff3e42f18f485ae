// Limits that strangers can reach, and evictions at the limits.
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

std::size_t messages_dropped(gateway_harness& p) {
  const auto stats = p.stats();
  return std::stoul(stats.substr(stats.find("\"messages_dropped\":") + 19));
}

TEST(pn_gw_bounds, evicts_a_keyed_device_that_is_away_and_keeps_its_record) {
  gateway_choices c;
  c.devices_max = 2;
  gateway_harness p{c};
  std::vector<headset_end*> all;
  for (int i = 1; i <= 4; ++i) {
    all.push_back(&p.keyed_pne(i));
    p.advance(seconds{5});  // the report is answered
    EXPECT_EQ(p.own_key(*all.back()), (epoch{1, 0})) << i;
    p.radio.link_down(*all.back());
    p.settle();
  }
  EXPECT_NE(p.stats().find("\"devices\":2,"), std::string::npos) << p.stats();
  EXPECT_EQ(p.list().size(), 4u);
  EXPECT_FALSE(p.logged("too-many-devices"));
  p.radio.link_up(*all.front());
  EXPECT_TRUE(p.advance_until(
      [&] {
        return all.front()->key() == epoch{1, 1};
      },
      seconds{30}))
      << "it continues from its record";
}

TEST(pn_gw_bounds, does_not_evict_a_device_in_reach_or_with_a_pending_report) {
  gateway_choices c;
  c.devices_max = 2;
  gateway_harness p{c};
  auto& there = p.keyed_pne(1);
  p.advance(seconds{5});
  p.swallows = [](const protocol::link_request& r) {
    return std::holds_alternative<protocol::epoch_report>(r.body);
  };
  auto& owes = p.keyed_pne(2);
  p.radio.link_down(owes);
  p.settle();
  auto& third = p.pne(3);
  p.radio.link_up(third);
  p.advance(seconds{2});
  EXPECT_FALSE(third.key().has_value());
  EXPECT_TRUE(p.logged("too-many-devices"));
  EXPECT_NE(there.link, 0u);
  p.swallows = nullptr;
  p.advance(seconds{120});  // the report is repeated and answered
  p.radio.link_up(third);
  EXPECT_TRUE(p.advance_until([&] { return third.key().has_value(); }, seconds{60}));
}

TEST(pn_gw_bounds, drops_and_counts_a_flood_on_one_link_and_serves_its_device) {
  gateway_choices c;
  c.rekey = seconds{60};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  for (int i = 0; i < 10'000; ++i) p.radio.inbox->message(h.link, bytes(1024, 7));
  p.settle();
  EXPECT_GE(messages_dropped(p), 10'000u - actors::link_messages_max) << p.stats();
  p.advance(seconds{61});
  EXPECT_EQ(h.key(), (epoch{1, 1}));
}

TEST(pn_gw_bounds, all_links_share_a_credit_for_messages_that_wait_and_it_comes_back) {
  constexpr std::size_t size = 1024, fit = 5;
  gateway_choices c;
  c.rekey = seconds{60};
  c.mailboxes = fit * (size + actors::message_credit::message_extra);
  gateway_harness p{c};
  auto& first = p.keyed_pne(1);
  auto& second = p.keyed_pne(2);
  for (int round = 1; round <= 3; ++round) {
    const auto before = messages_dropped(p);
    for (const auto* h : {&first, &second})
      for (int i = 0; i < 10; ++i) p.radio.inbox->message(h->link, bytes(size, 7));
    p.settle();
    EXPECT_EQ(messages_dropped(p) - before, 20 - fit) << "round " << round;
  }
  p.advance(seconds{61});
  EXPECT_EQ(first.key(), (epoch{1, 1}));
  EXPECT_EQ(second.key(), (epoch{1, 1}));
}

TEST(pn_gw_bounds, says_seldom_that_messages_were_dropped) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 1000; ++i) p.radio.inbox->message(h.link, bytes(1024, 7));
    p.settle();
    p.advance(seconds{1});
  }
  const auto all = p.log.text();
  int said = 0;
  for (auto at = all.find("messages-dropped"); at != std::string::npos;
       at = all.find("messages-dropped", at + 1))
    ++said;
  EXPECT_EQ(said, 2) << "at once, and after ten seconds";
}

TEST(pn_gw_bounds, ignores_messages_on_a_link_that_is_being_closed) {
  gateway_choices c;
  c.devices_max = 1;
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  auto& second = p.pne(2);
  bytes answer;
  p.radio.loses = [&](air::way to, byte_view m) {
    if (to == air::way::to_pne || !is_a<protocol::discovery_response>(m)) return false;
    answer = to_bytes(m);
    return true;
  };
  p.radio.link_up(second);
  p.settle();
  ASSERT_FALSE(answer.empty());
  const auto link = second.link;
  for (int i = 0; i < 3; ++i)
    p.radio.inbox->message(link, answer);  // devices_max is reached at the first one
  p.settle();
  EXPECT_TRUE(p.logged("too-many-devices"));
  EXPECT_TRUE(p.failures.empty());
  EXPECT_EQ(p.own_key(h), h.key());
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
