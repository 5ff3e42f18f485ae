#include "actors/pn_gw/history.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

namespace cpns::actors {
namespace {

using happens = protocol::gw_event::kind_t;

constexpr time_point start{seconds{1'800'000'000}};

pne_history::event event(int second, happens kind = happens::confirmed, bool unproven = false) {
  return {start + seconds{second}, kind, 0, {}, unproven};
}

void add(pne_history& h, const shared_text& entity, const pne_history::event& e, bool keyed) {
  h.add(entity, {&e, 1}, keyed);
}

shared_text name(int i) { return shared_text{"urn:dev:os:32473-" + std::to_string(1000 + i)}; }

TEST(pne_history, keeps_the_last_events) {
  pne_history h;
  for (int i = 0; i < 100; ++i) add(h, name(1), event(i), true);
  const auto past = h.of(name(1));
  ASSERT_EQ(past.events.size(), pne_history::events_max);
  EXPECT_EQ(past.events.front().at, start + seconds{68});
  EXPECT_EQ(past.events.back().at, start + seconds{99});
  EXPECT_TRUE(h.of(name(2)).events.empty());
}

TEST(pne_history, keeps_events_of_the_device_when_strangers_use_its_name) {
  pne_history h;
  for (int i = 0; i < 8; ++i) add(h, name(1), event(i), true);
  for (int i = 0; i < 1000; ++i) add(h, name(1), event(100 + i, happens::backing_off, true), true);
  const auto past = h.of(name(1));
  EXPECT_EQ(past.events.size(), pne_history::events_max);
  EXPECT_EQ(std::count_if(past.events.begin(), past.events.end(), [](const auto& e) { return !e.unproven; }),
            8);
}

TEST(pne_history, remembers_a_failure_that_is_not_among_the_events_any_more) {
  pne_history h;
  add(h, name(1), {start, happens::server_refused, 0, "the server says no", false}, true);
  for (int i = 0; i < 100; ++i) add(h, name(1), event(i), true);
  const auto past = h.of(name(1));
  ASSERT_TRUE(past.failure.has_value());
  boost::json::object shown;
  describe_past(shown, past);
  EXPECT_EQ(shown.at("last_failure").at("text").as_string(), "the server says no");
  EXPECT_EQ(shown.at("last_failure").at("event").as_string(), "server-refused");
}

TEST(pne_history, leaves_out_events_of_level_debug) {
  pne_history h;
  add(h, name(1), event(0, happens::dropped, true), true);
  EXPECT_EQ(h.held().keyed + h.held().strangers, 0u);
}

TEST(pne_history, is_bounded_and_the_device_that_was_silent_for_longest_loses_its_events) {
  const pne_history::bounds most{100'000, 50'000};
  pne_history h{most};
  for (int i = 0; i < 10'000; ++i) {
    add(h, name(i), event(i), true);
    if (i % 10 == 0) add(h, name(0), event(i), true);
  }
  EXPECT_LE(h.held().keyed, most.keyed);
  EXPECT_GT(h.held().keyed, most.keyed / 2);
  EXPECT_TRUE(h.of(name(1)).events.empty());
  EXPECT_FALSE(h.of(name(0)).events.empty());
  EXPECT_FALSE(h.of(name(9999)).events.empty());
}

TEST(pne_history, of_devices_with_keys_is_safe_from_invented_names) {
  pne_history h{{100'000, 50'000}};
  add(h, name(0), event(0), true);
  for (int i = 1; i < 10'000; ++i) add(h, name(i), event(i, happens::detected, true), false);
  EXPECT_FALSE(h.of(name(0)).events.empty());
  EXPECT_LE(h.held().strangers, 50'000u);
}

TEST(pne_history, counts_the_names) {
  pne_history shorts, longs;
  const shared_text name_of_64{std::string(64, 'n')}, name_of_1{"n"};
  add(shorts, name_of_1, event(0), false);
  add(longs, name_of_64, event(0), false);
  EXPECT_EQ(longs.held().strangers, shorts.held().strangers + 63);
  longs.forget(name_of_64);
  EXPECT_EQ(longs.held().strangers, 0u);
}

TEST(pne_history, moves_a_device_that_got_keys_to_the_others) {
  pne_history h;
  add(h, name(1), event(0, happens::detected, true), false);
  EXPECT_GT(h.held().strangers, 0u);
  add(h, name(1), event(1), true);
  EXPECT_EQ(h.held().strangers, 0u);
  EXPECT_EQ(h.of(name(1)).events.size(), 2u);
}

TEST(pne_history, forgets_a_device) {
  pne_history h;
  add(h, name(1), event(0), true);
  h.forget(name(1));
  h.add(name(1), {}, true, start);
  EXPECT_TRUE(h.of(name(1)).events.empty());
  EXPECT_FALSE(h.of(name(1)).seen.has_value());
  EXPECT_EQ(h.held().keyed, 0u);
}

TEST(pne_history, shortens_a_long_text_at_the_border_of_a_character) {
  pne_history h;
  std::string why(pne_history::why_max - 1, 'a');
  add(h, name(1), {start, happens::server_refused, 0, why + "\xc3\xa4 and more", false}, true);
  EXPECT_EQ(h.of(name(1)).events.front().why, why);
}

}  // namespace
}  // namespace cpns::actors
