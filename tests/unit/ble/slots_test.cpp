// Which peers get one of few links, and when a link is closed again.

#include "transports/ble/slots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cpns::ble {
namespace {

using namespace std::chrono_literals;

class ble_slots : public testing::Test {
 protected:
  slots::time now{1h};
  slots table{2, 1s, 60s};

  /// An advertisement, after which the host requests a link.
  void hear(const std::string& peer, std::uint16_t tag = 1) {
    table.heard(now, peer, tag);
    table.want(peer);
  }
  std::string link_next() {
    const auto peer = table.next(now);
    if (!peer) return {};
    table.up(now, *peer);
    return *peer;
  }
  std::string give_up() {
    const auto peer = table.give_up(now);
    if (!peer) return {};
    table.freed(now, *peer);
    return *peer;
  }
};

TEST_F(ble_slots, allows_one_attempt_at_a_time_and_no_more_links_than_slots) {
  for (const auto* p : {"a", "b", "c"}) hear(p);
  EXPECT_EQ(table.next(now), "a");
  EXPECT_FALSE(table.next(now)) << "a is being connected to";
  table.up(now, "a");
  EXPECT_EQ(link_next(), "b");
  EXPECT_EQ(link_next(), "");
  EXPECT_EQ(table.used(), 2u);
}

TEST_F(ble_slots, connects_only_to_peers_that_the_host_requests) {
  EXPECT_TRUE(table.heard(now, "a", 1));
  EXPECT_FALSE(table.next(now));
  EXPECT_FALSE(table.want("b")) << "no advertisement was received";
}

TEST_F(ble_slots, reports_a_peer_once_per_second_and_not_while_it_has_a_link) {
  EXPECT_TRUE(table.heard(now, "a", 1));
  EXPECT_FALSE(table.heard(now + 500ms, "a", 1));
  EXPECT_TRUE(table.heard(now + 1500ms, "a", 1));
  table.want("a");
  link_next();
  EXPECT_FALSE(table.heard(now + 5s, "a", 1));
}

TEST_F(ble_slots, does_not_connect_when_the_last_advertisement_is_old) {
  hear("a");
  now += 21s;
  EXPECT_FALSE(table.next(now));
  hear("a");
  EXPECT_EQ(table.next(now), "a");
}

TEST_F(ble_slots, keeps_an_idle_link_while_no_peer_waits) {
  hear("a");
  hear("b");
  link_next();
  link_next();
  now += 1h;
  EXPECT_EQ(give_up(), "");
  EXPECT_FALSE(table.next_deadline(now));
  hear("c");
  EXPECT_TRUE(table.next_deadline(now));
  EXPECT_EQ(give_up(), "a");
}

TEST_F(ble_slots, keeps_a_busy_link_ten_times_as_long_and_no_longer) {
  hear("a");
  hear("b");
  link_next();
  link_next();
  for (int i = 0; i < 19; ++i) {
    now += 500ms;
    table.traffic(now, "a");
    table.traffic(now, "b");
    hear("c");
    ASSERT_EQ(give_up(), "") << i;
  }
  now += 500ms;
  table.traffic(now, "a");
  EXPECT_EQ(give_up(), "a");
}

TEST_F(ble_slots, serves_every_peer_once_before_it_serves_one_twice) {
  const std::vector<std::string> all{"a", "b", "c", "d", "e", "f", "g"};
  std::vector<std::string> turns;
  while (turns.size() < all.size()) {
    for (const auto& p : all) hear(p);
    for (auto p = link_next(); !p.empty(); p = link_next()) turns.push_back(p);
    now += 1100ms;
    ASSERT_LT(turns.size(), 20u);
    give_up();
    give_up();
  }
  EXPECT_THAT(turns, testing::UnorderedElementsAreArray(all));
}

TEST_F(ble_slots, serves_a_resting_peer_when_no_other_peer_waits) {
  for (const auto* p : {"a", "b", "c"}) hear(p);
  link_next();
  link_next();
  now += 2s;
  hear("c");
  EXPECT_EQ(give_up(), "a");
  EXPECT_EQ(link_next(), "c");
  now += 2s;
  hear("a");
  EXPECT_EQ(give_up(), "") << "a rests: no link is closed for it";
  table.ended(now, "b", false);
  table.freed(now, "b");
  EXPECT_EQ(link_next(), "a");
}

TEST_F(ble_slots, serves_a_peer_first_when_it_woke_up) {
  for (const auto* p : {"a", "b", "c"}) hear(p);
  link_next();
  link_next();
  now += 2s;
  EXPECT_EQ(give_up(), "a");
  EXPECT_EQ(link_next(), "c");
  now += 61s;
  hear("a");
  EXPECT_EQ(give_up(), "b");
  hear("b", 2);
  EXPECT_EQ(link_next(), "b") << "although a waited longer";
}

TEST_F(ble_slots, ignores_wake_ups_that_a_peer_claims_in_every_advertisement) {
  for (const auto* p : {"a liar", "b", "c"}) hear(p);
  link_next();
  link_next();
  now += 2s;
  EXPECT_EQ(give_up(), "a liar");
  EXPECT_EQ(link_next(), "c");
  now += 2s;
  hear("a liar", 2);
  EXPECT_EQ(give_up(), "b") << "the first claim is believed";
  EXPECT_EQ(link_next(), "a liar");
  now += 2s;
  hear("d");
  EXPECT_EQ(give_up(), "c");
  EXPECT_EQ(link_next(), "d");
  now += 2s;
  hear("e");
  EXPECT_EQ(give_up(), "a liar");
  hear("a liar", 3);
  EXPECT_EQ(link_next(), "e") << "a second claim within so short a time is not";
}

TEST_F(ble_slots, backs_off_after_failed_attempts) {
  hear("a");
  auto pause = 1s;
  for (int i = 0; i < 4; ++i, pause *= 2) {
    ASSERT_EQ(table.next(now), "a") << i;
    table.ended(now, "a", true);
    table.freed(now, "a");
    now += pause - 100ms;
    hear("a");
    EXPECT_FALSE(table.next(now)) << i;
    now += 1200ms;
    hear("a");
  }
}

TEST_F(ble_slots, reuses_a_slot_only_when_the_radio_has_freed_it) {
  for (const auto* p : {"a", "b", "c"}) hear(p);
  link_next();
  link_next();
  table.ended(now, "a", false);
  EXPECT_FALSE(table.next(now));
  table.freed(now, "a");
  EXPECT_EQ(table.next(now), "c");
}

TEST_F(ble_slots, bounds_its_memory) {
  for (int i = 0; i < 5000; ++i) table.heard(now, std::to_string(i), 1);
  EXPECT_FALSE(table.heard(now, "one more", 1));
  now += 10min;
  EXPECT_TRUE(table.heard(now, "one more", 1)) << "the others are forgotten";
}

}  // namespace
}  // namespace cpns::ble
