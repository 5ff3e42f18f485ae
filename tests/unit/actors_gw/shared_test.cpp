// Parts shared by gateway and PNE roles: actor system, deadline heap, radio inbox; event names; JSON views.
#include <gmock/gmock.h>

#include <algorithm>
#include <boost/json.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <random>

#include "actors/deadline_heap.hpp"
#include "actors/pn_gw/supervisor.hpp"
#include "actors/pn_gw/views.hpp"
#include "actors/radio.hpp"
#include "actors/system.hpp"

namespace cpns::actors {
namespace {

time_point at(int s) { return time_point{seconds{s}}; }

TEST(deadline_heap, a_later_call_replaces_the_deadline_and_time_never_removes_it) {
  deadline_heap h;
  EXPECT_EQ(h.next(), time_never);
  h.set(1, at(5));
  h.set(2, at(3));
  h.set(1, at(1));
  EXPECT_EQ(h.size(), 2u);
  EXPECT_EQ(h.next(), at(1));
  h.set(1, time_never);
  EXPECT_EQ(h.next(), at(3));
  h.set(7, time_never);
  EXPECT_EQ(h.size(), 1u);
}

TEST(deadline_heap, returns_due_keys_earliest_first_and_at_most_as_many_as_asked) {
  deadline_heap h;
  for (int i = 0; i < 10; ++i) h.set(static_cast<std::uint64_t>(i), at(10 - i));
  EXPECT_EQ(h.take_due(at(4), 2), (std::vector<deadline_heap::key>{9, 8}));
  EXPECT_EQ(h.take_due(at(4), 100), (std::vector<deadline_heap::key>{7, 6}));
  EXPECT_TRUE(h.take_due(at(4), 100).empty());
  EXPECT_EQ(h.next(), at(5));
}

TEST(deadline_heap, agrees_with_a_plain_search_over_random_calls) {
  std::mt19937 dice{5};
  deadline_heap h;
  std::map<deadline_heap::key, time_point> model;
  for (int i = 0; i < 20'000; ++i) {
    const deadline_heap::key k = dice() % 50;
    const auto t = dice() % 5 == 0 ? time_never : at(static_cast<int>(dice() % 1000));
    h.set(k, t);
    if (t == time_never)
      model.erase(k);
    else
      model[k] = t;
    auto least = time_never;
    for (const auto& [key, when] : model) least = std::min(least, when);
    ASSERT_EQ(h.next(), least);
    ASSERT_EQ(h.size(), model.size());
    if (dice() % 7 == 0)
      for (const auto key : h.take_due(at(static_cast<int>(dice() % 1000)), 3)) model.erase(key);
  }
}

TEST(actor_runtime, an_actor_yields_after_64_messages_and_the_workers_share) {
  actor_runtime two, three{3};
  EXPECT_EQ(two.system().scheduler().max_throughput(), 64u);
  EXPECT_EQ(two.system().scheduler().num_workers(), 2u);
  EXPECT_EQ(three.system().scheduler().max_throughput(), 64u);
  EXPECT_EQ(three.system().scheduler().num_workers(), 3u);
  EXPECT_EQ(caf::get_or(two.system().config(), "scheduler.policy", caf::atom("none")), caf::atom("sharing"));
}

TEST(radio_inbox, one_wake_up_fetches_all_events) {
  int woken = 0;
  radio_inbox inbox{3, [&woken] { ++woken; }};
  inbox.link_up(7, 0, "here");
  inbox.message(7, bytes{1});
  inbox.message(7, bytes{2});
  EXPECT_EQ(woken, 1);
  const auto all = inbox.take();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].kind, radio_event::kind_t::link_up);
  EXPECT_EQ(all[0].transport, 3u);
  EXPECT_EQ(all[2].message, bytes{2});
  EXPECT_TRUE(inbox.take().empty());
  inbox.message(7, bytes{3});
  inbox.link_down(7, "gone");
  EXPECT_EQ(woken, 2);
  const auto rest = inbox.take();
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest[1].text, "gone");
}

TEST(radio_inbox, a_link_that_floods_loses_its_own_messages) {
  radio_inbox inbox{0, [] {}};
  for (int i = 0; i < 70'000; ++i) inbox.message(1, bytes(1024));
  inbox.message(2, bytes{2});
  inbox.link_down(1, "gone");
  inbox.failed({errc::plugin_failed, "dead"});
  const auto all = inbox.take();
  ASSERT_EQ(all.size(), 64u + 3);
  EXPECT_EQ(all[64].link, 2u);
  EXPECT_EQ(all[65].kind, radio_event::kind_t::link_down);
  EXPECT_EQ(all[66].kind, radio_event::kind_t::failed);
  EXPECT_EQ(inbox.dropped(), 70'000u - 64);
}

TEST(radio_inbox, bounds_the_messages_of_all_links_to_8_mib) {
  radio_inbox inbox{0, [] {}};
  for (plugins::link_id l = 1; l <= 20'000; ++l) inbox.message(l, bytes(1024));
  EXPECT_EQ(inbox.take().size(), 8192u);
  EXPECT_EQ(inbox.dropped(), 20'000u - 8192);
  for (int i = 0; i < 70'000; ++i) inbox.peer_found("there", -40);
  EXPECT_EQ(inbox.take().size(), 65'536u);
}

TEST(radio_inbox, discards_links_that_came_and_went_unseen) {
  radio_inbox inbox{0, [] {}};
  inbox.link_up(1, 0, "it stays");
  inbox.message(1, bytes{1});
  for (plugins::link_id l = 2; l <= 100'000; ++l) {
    inbox.link_up(l, 0, "there");
    inbox.message(l, bytes(1024));
    inbox.link_down(l, "gone");
  }
  inbox.message(1, bytes{2});
  inbox.link_up(100'001, 0, "it stays, too");
  const auto all = inbox.take();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[1].message, bytes{1});
  EXPECT_EQ(all[2].message, bytes{2});
  EXPECT_EQ(all[3].link, 100'001u);
  EXPECT_EQ(inbox.dropped(), 0u);
  inbox.link_down(1, "gone");
  EXPECT_EQ(inbox.take().size(), 1u) << "the end of a link known to the role is never dropped";
}

TEST(validation, patterns_match_whole_names_or_prefixes) {
  EXPECT_TRUE(is_named({"urn:dev:mac:0024befffe804ff1"}, "urn:dev:mac:0024befffe804ff1"));
  EXPECT_FALSE(is_named({"urn:dev:mac:0024befffe804ff"}, "urn:dev:mac:0024befffe804ff1"));
  EXPECT_TRUE(is_named({"x", "urn:dev:mac:0024be*"}, "urn:dev:mac:0024befffe804ff1"));
  EXPECT_TRUE(is_named({"*"}, "urn:dev:mac:0024befffe804ff1"));
  EXPECT_FALSE(is_named({}, "urn:dev:mac:0024befffe804ff1"));
}

TEST(event_names, each_event_has_a_unique_name_in_kebab_case) {
  using kind_t = protocol::gw_event::kind_t;
  std::set<std::string_view> seen;
  for (int k = 0; k <= static_cast<int>(kind_t::dropped); ++k) {
    const auto e = describe_event(static_cast<kind_t>(k));
    EXPECT_TRUE(seen.insert(e.id).second) << e.id;
    EXPECT_THAT(std::string{e.id}, testing::MatchesRegex("[a-z]+(-[a-z]+)*"));
    EXPECT_FALSE(e.text.empty());
  }
}

TEST(views, describes_a_device_without_any_key) {
  protocol::device_record r;
  r.entity = entity_id::parse("urn:dev:os:32473-1001").value();
  r.generation = 2;
  const secret32 key{byte_view{to_bytes(as_bytes("0123456789abcdef0123456789abcdef"))}.first<32>()};
  r.gateway_temporary_key = key;
  r.keys.push_back({{2, 5}, {}, key, protocol::key_use::own});
  r.last_address = "a\"quote";
  const auto text = boost::json::serialize(describe_device(r, "keyed", false));
  EXPECT_THAT(text, testing::HasSubstr("\"epoch\":\"2.5\""));
  EXPECT_THAT(text, testing::HasSubstr("a\\\"quote"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("0123456789abcdef")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr(to_hex(key.expose()))));
  r.standing = protocol::device_standing::quarantined;
  EXPECT_EQ(describe_stored(r).at("state"), "quarantined");
}

}  // namespace
}  // namespace cpns::actors
