// Devices that wait for nothing but their next update: their actors end, and go on when they are needed.
#include <malloc.h>

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

#include "actors/deadline_heap.hpp"
#include "actors/pn_gw/device_book.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using actors::rest_queue;

constexpr milliseconds soon_at_rest = rest_queue::rest_after + seconds{2};

struct resting_harness : gateway_harness {
  using gateway_harness::gateway_harness;
  [[nodiscard]] std::int64_t at_rest() {
    return boost::json::parse(stats()).as_object().at("devices_at_rest").to_number<std::int64_t>();
  }
  headset_end& rested_pne(int i) {
    auto& h = keyed_pne(i);
    advance(soon_at_rest);
    return h;
  }
  std::string state_of(const headset_end& h) { return std::string{show_in_full(h).at("state").as_string()}; }
  void set_interval(seconds of_updates) {
    auto rules = std::make_shared<actors::supervisor_rules>();
    rules->device.gw = gw;
    rules->device.user = alice.user;
    rules->device.rekey_override = of_updates;
    caf::anon_send(supervisor, actors::sup_settings{rules});
  }
};

gateway_choices every_minute() {
  gateway_choices c;
  c.rekey = seconds{60};
  return c;
}

TEST(pn_gw_rest, an_idle_keyed_device_has_no_actor_and_is_described_as_before) {
  resting_harness p;
  auto& h = p.keyed_pne(1);
  p.advance(seconds{2});
  ASSERT_EQ(p.at_rest(), 0) << "an update often follows the first key";
  auto before = p.show_in_full(h);
  const auto listed = p.list().at(0);
  p.advance(soon_at_rest);
  ASSERT_EQ(p.at_rest(), 1);
  auto after = p.show_in_full(h);
  EXPECT_EQ(serialize(after), serialize(before));
  EXPECT_TRUE(after.contains("rssi_dbm"));
  EXPECT_EQ(p.list().at(0), listed);
  EXPECT_EQ(p.at_rest(), 1) << "a question needs no actor";
}

TEST(pn_gw_rest, the_deadline_of_the_update_ends_the_rest) {
  resting_harness p{every_minute()};
  auto& h = p.rested_pne(1);
  for (std::uint16_t i = 1; i <= 3; ++i) {
    ASSERT_EQ(p.at_rest(), 1);
    ASSERT_TRUE(p.advance_until([&] { return h.key() == epoch{1, i}; }, seconds{61})) << i;
    EXPECT_EQ(p.own_key(h), h.key());
    p.advance(soon_at_rest);
  }
  EXPECT_EQ(p.at_rest(), 1);
}

TEST(pn_gw_rest, keeps_its_link_and_notices_its_end) {
  resting_harness p;
  auto& h = p.rested_pne(1);
  p.radio.link_down(h);
  p.settle();
  EXPECT_EQ(p.state_of(h), "asleep");
  EXPECT_TRUE(p.logged("the link went down"));
  p.advance(soon_at_rest);
  EXPECT_EQ(p.at_rest(), 1) << "also without a link";
  EXPECT_EQ(p.state_of(h), "asleep");
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key() == epoch{1, 1}; }, seconds{5})) << "as after any wake-up";
}

/// How long after its first key the device rests.
milliseconds until_rest() {
  resting_harness p;
  p.keyed_pne(1);
  milliseconds out{0};
  while (p.at_rest() == 0 && out < seconds{20}) {
    p.advance(milliseconds{10});
    out += milliseconds{10};
  }
  return out;
}

/// Something happens to the device after so many steps of the actors, from the moment on at which its actor is asked to end.
class pn_gw_rest_steps : public testing::TestWithParam<int> {
 protected:
  void go_to_the_step() {
    h = &p.keyed_pne(1);
    p.advance(until_rest() - milliseconds{10});
    ASSERT_EQ(p.at_rest(), 0);
    p.scheduler.advance_time(milliseconds{20});
    p.now += milliseconds{20};
    for (int i = 0; i < GetParam(); ++i) (void)p.scheduler.try_run_once();
  }
  resting_harness p;
  headset_end* h = nullptr;
};

TEST_P(pn_gw_rest_steps, a_frame_is_not_lost) {
  go_to_the_step();
  p.radio.inbox->message(h->link, encode(protocol::pne_notice{}));
  p.advance(seconds{1});
  EXPECT_EQ(h->key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(*h), h->key());
  p.advance(soon_at_rest);
  EXPECT_EQ(p.at_rest(), 1);
}

TEST_P(pn_gw_rest_steps, a_new_link_is_not_lost) {
  go_to_the_step();
  p.radio.link_down(*h);
  p.radio.link_up(*h);
  p.advance(seconds{1});
  EXPECT_EQ(h->key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(*h), h->key());
  p.advance(soon_at_rest);
  EXPECT_EQ(p.at_rest(), 1);
}

TEST_P(pn_gw_rest_steps, a_command_is_not_lost) {
  go_to_the_step();
  EXPECT_EQ(p.command(*h, "update"), "");
  p.advance(seconds{1});
  EXPECT_EQ(h->key(), (epoch{1, 1}));
  p.advance(soon_at_rest);
  EXPECT_EQ(p.at_rest(), 1);
}

TEST_P(pn_gw_rest_steps, a_question_is_answered) {
  go_to_the_step();
  EXPECT_TRUE(p.show_in_full(*h).contains("generation"));
}

TEST_P(pn_gw_rest_steps, a_page_of_the_list_has_it) {
  go_to_the_step();
  EXPECT_EQ(p.list().size(), 1u);
}

TEST_P(pn_gw_rest_steps, another_interval_of_updates_is_not_lost) {
  go_to_the_step();
  p.set_interval(seconds{60});
  EXPECT_TRUE(p.advance_until([&] { return h->key() == epoch{1, 1}; }, seconds{60}));
}

TEST_P(pn_gw_rest_steps, the_last_place_is_kept_when_the_link_goes_down) {
  go_to_the_step();
  p.radio.link_down(*h);
  p.advance(soon_at_rest);
  const auto after = p.show_in_full(*h);
  EXPECT_EQ(after.at("state"), "asleep");
  EXPECT_EQ(std::string{after.at("address").as_string()}, h->address);
  EXPECT_EQ(after.at("radio"), "air");
}
INSTANTIATE_TEST_SUITE_P(each_step, pn_gw_rest_steps, testing::Range(0, 8));

TEST(pn_gw_rest, another_interval_of_updates_counts_for_devices_at_rest) {
  gateway_choices c;
  c.rekey = seconds{86'400};
  resting_harness p{c};
  auto& h = p.rested_pne(1);
  p.set_interval(seconds{60});
  p.settle();
  EXPECT_EQ(p.at_rest(), 1);
  EXPECT_TRUE(p.advance_until([&] { return h.key() == epoch{1, 1}; }, seconds{60}));
}

TEST(pn_gw_rest, another_interval_of_updates_reaches_more_devices_than_fit_into_a_turn) {
  constexpr int pnes = static_cast<int>(actors::ticks_at_once) + 50;
  gateway_choices c;
  c.rekey = seconds{86'400};
  c.devices_max = c.links_max = 2 * pnes;
  c.requests_max = pnes;
  resting_harness p{c};
  std::vector<headset_end*> all;
  for (int i = 1; i <= pnes; ++i) all.push_back(&p.pne(i));
  for (auto* h : all) p.radio.link_up(*h);
  ASSERT_TRUE(p.advance_until([&] { return p.at_rest() == pnes; }, seconds{40}));
  p.set_interval(seconds{60});
  p.settle();
  EXPECT_EQ(p.at_rest(), pnes) << "no device needs an actor for it";
  const auto all_updated = [&] {
    return std::all_of(all.begin(), all.end(), [](const auto* h) { return h->key() == epoch{1, 1}; });
  };
  EXPECT_TRUE(p.advance_until(all_updated, seconds{61}));
}

TEST(pn_gw_rest, a_command_of_a_person_ends_the_rest) {
  resting_harness p;
  auto& h = p.rested_pne(1);
  EXPECT_EQ(p.command(h, "update"), "");
  p.advance(seconds{1});
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  p.advance(soon_at_rest);
  ASSERT_EQ(p.at_rest(), 1);
  EXPECT_NE(p.command(h, "approve"), "") << "it waits for no decision";
  p.radio.link_down(h);
  p.settle();
  EXPECT_EQ(p.forget(h), "");
  EXPECT_FALSE(p.record(h));
}

TEST(pn_gw_rest, a_device_at_rest_without_a_link_leaves_its_place_at_once) {
  gateway_choices c;
  c.devices_max = 2;
  resting_harness p{c};
  auto& first = p.rested_pne(1);
  p.radio.link_down(first);
  p.rested_pne(2);
  ASSERT_EQ(p.at_rest(), 2);
  auto& third = p.keyed_pne(3);
  EXPECT_EQ(p.own_key(third), third.key());
  EXPECT_EQ(p.state_of(first), "not_in_reach");
  EXPECT_FALSE(p.logged("too-many-devices"));
  p.radio.link_up(first);
  p.advance(seconds{5});
  EXPECT_FALSE(first.key() == epoch({1, 1})) << "the two others are in reach";
}

TEST(pn_gw_rest, a_record_that_became_unreadable_costs_its_own_link_alone) {
  resting_harness p{every_minute()};
  auto& h = p.rested_pne(1);
  auto& other = p.rested_pne(2);
  ASSERT_EQ(p.at_rest(), 2);
  storage::sealed_batch damage;
  damage.push_back({storage::table::peers, to_bytes(as_bytes(h.entity.text())), secret_bytes{bytes(64, 1)}});
  ASSERT_TRUE(p.gw_sealed->write(damage));
  p.advance(seconds{61});
  EXPECT_TRUE(p.logged("record-unreadable"));
  EXPECT_EQ(h.link, 0u);
  EXPECT_EQ(other.key(), (epoch{1, 1}));
  EXPECT_TRUE(p.failures.empty());
  EXPECT_FALSE(p.logged("device-died"));
  EXPECT_EQ(p.tally->names("", "", 3), std::vector{other.entity.text()}) << "as after a restart";
}

TEST(pn_gw_rest, a_read_that_fails_for_a_while_costs_the_link_and_not_the_place_in_the_list) {
  resting_harness p{every_minute()};
  auto& h = p.rested_pne(1);
  ASSERT_EQ(p.at_rest(), 1);
  p.gw_faulty.fail_reads(errc::store_unavailable);
  p.advance(seconds{61});
  EXPECT_TRUE(p.logged("record-unreadable"));
  EXPECT_EQ(h.link, 0u);
  p.gw_faulty.repair();
  ASSERT_EQ(p.list().size(), 1u);
  EXPECT_EQ(p.state_of(h), "not_in_reach");
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key() == epoch{1, 1}; }, seconds{5}));
}

/// What the end of a gateway gives back is what it held: its actors, tables, counts and events. Not the radio's memory.
TEST(pn_gw_rest, an_idle_pne_takes_little_memory_with_its_events) {
  if (mallinfo2().uordblks == 0) GTEST_SKIP() << "a sanitizer has its own allocator";
  constexpr int pnes = 1000;
  constexpr std::size_t most = 800;  // bytes, what malloc() adds included
  gateway_choices c = every_minute();
  c.devices_max = c.links_max = 2 * pnes;
  c.requests_max = pnes;
  resting_harness p{c};
  for (int i = 1; i <= pnes; ++i) p.radio.link_up(p.pne(i));
  EXPECT_TRUE(p.advance_until([&] { return p.at_rest() == pnes; }, seconds{40}));
  p.advance(seconds{60});
  ASSERT_TRUE(p.advance_until([&] { return p.at_rest() == pnes; }, seconds{40})) << "after an update";
  // The gateway forgets the requests of the last second when it sends the next one.
  p.keyed_pne(pnes + 1);
  p.advance(soon_at_rest);
  const auto with = mallinfo2().uordblks;
  p.stop();
  p.history.reset();
  p.tally.reset();
  const auto bytes_each = (with - mallinfo2().uordblks) / pnes;
  RecordProperty("bytes_per_idle_pne", static_cast<int>(bytes_each));
  EXPECT_LT(bytes_each, most);
  EXPECT_GT(bytes_each, 100u) << "it holds at least a name and its events";
}

TEST(pn_gw_rest, many_that_are_done_rest_earlier) {
  rest_queue q;
  const time_point start{seconds{1000}};
  for (std::uint64_t i = 0; i < rest_queue::waiting_max; ++i) q.put(i, start);
  EXPECT_FALSE(q.take(start + rest_queue::at_least));
  q.put(rest_queue::waiting_max, start);
  EXPECT_FALSE(q.take(start));
  EXPECT_EQ(q.next(), start + rest_queue::at_least);
  EXPECT_EQ(q.take(start + rest_queue::at_least), 0u);
  EXPECT_FALSE(q.take(start + rest_queue::at_least));
  q.put(1, start + seconds{2});
  EXPECT_EQ(q.take(start + rest_queue::rest_after), 2u) << "1 was needed meanwhile";
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
