// The history of a PNE, the pages of the list, and how the gateway forgets a PNE.
#include <algorithm>
#include <boost/json.hpp>

#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using actors::pne_history;

std::vector<std::string> events_of(const boost::json::object& shown) {
  std::vector<std::string> out;
  for (const auto& e : shown.at("events").as_array()) {
    const auto& id = e.at("event").as_string();
    out.emplace_back(id.data(), id.size());
  }
  return out;
}

bool has(const std::vector<std::string>& events, std::string_view id) {
  return std::find(events.begin(), events.end(), id) != events.end();
}

/// Brings `h` out of memory: with devices_max 1, another device takes its place.
void evict(gateway_harness& p, headset_end& h, headset_end& other) {
  p.radio.link_down(h);
  p.advance(seconds{1});
  p.radio.link_up(other);
  EXPECT_TRUE(p.advance_until([&] { return other.key().has_value(); }, seconds{60}));
  EXPECT_NE(p.show(h).find("not_in_reach"), std::string::npos) << p.show(h);
}

TEST(pn_gw_past, shows_events_contact_and_signal_strength) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto shown = p.show_in_full(h);
  const auto events = events_of(shown);
  for (const auto* id : {"detected", "requested", "answered", "delivering", "confirmed"})
    EXPECT_TRUE(has(events, id)) << id;
  EXPECT_EQ(shown.at("rssi_dbm").as_int64(), -40);
  EXPECT_EQ(shown.at("last_contact").as_string().subview(0, 4), "2027");
  EXPECT_FALSE(shown.contains("last_failure"));
  EXPECT_FALSE(boost::json::parse(p.show(h)).as_object().contains("events"))
      << "the short form has no events";
}

TEST(pn_gw_past, keeps_the_last_32_events_of_a_device) {
  gateway_choices c;
  c.rekey = seconds{2};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  p.advance(seconds{120});
  const auto shown = p.show_in_full(h);
  const auto& events = shown.at("events").as_array();
  ASSERT_EQ(events.size(), pne_history::events_max);
  for (std::size_t i = 1; i < events.size(); ++i)
    EXPECT_LE(events[i - 1].at("time").as_string(), events[i].at("time").as_string());
  EXPECT_TRUE(has(events_of(shown), "confirmed"));
}

TEST(pn_gw_past, says_the_last_failure_in_words) {
  gateway_harness p;
  p.cut_server();
  p.advance(seconds{60});
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{5});
  const auto shown = serialize(p.show_in_full(h).at("last_failure"));
  EXPECT_NE(shown.find("\"event\":\"backing-off\""), std::string::npos) << shown;
  EXPECT_NE(shown.find("next attempt"), std::string::npos) << shown;
}

TEST(pn_gw_past, outlives_the_actor_of_the_device) {
  gateway_choices c;
  c.devices_max = 1;
  gateway_harness p{c};
  auto &h = p.keyed_pne(1), &other = p.pne(2);
  evict(p, h, other);
  const auto shown = p.show_in_full(h);
  EXPECT_TRUE(has(events_of(shown), "confirmed"));
  EXPECT_TRUE(shown.contains("last_contact"));
  EXPECT_FALSE(shown.contains("rssi_dbm"));
}

TEST(pn_gw_past, has_a_record_that_was_not_written) {
  gateway_harness p;
  auto& h = p.pne(1);
  p.gw_faulty.fail_writes(errc::store_full);
  p.radio.link_up(h);
  p.advance(seconds{1});
  EXPECT_TRUE(has(events_of(p.show_in_full(h)), "record-not-written"));
}

TEST(pn_gw_pages, have_devices_with_and_without_an_actor_in_order) {
  gateway_choices c;
  c.devices_max = 2;
  gateway_harness p{c};
  std::vector<std::string> entities;
  for (const int i : {5, 3, 1, 4, 2}) {
    auto& h = p.keyed_pne(i);
    entities.push_back(h.entity.text());
    p.radio.link_down(h);
    p.advance(seconds{1});
  }
  std::sort(entities.begin(), entities.end());
  const auto listed = p.list();
  ASSERT_EQ(listed.size(), entities.size());
  for (std::size_t i = 0; i < listed.size(); ++i)
    EXPECT_NE(listed[i].find('"' + entities[i] + '"'), std::string::npos) << listed[i];
  EXPECT_NE(p.stats().find("\"devices\":2,"), std::string::npos) << "the others have no actor";
}

TEST(pn_gw_pages, have_the_next_place_unless_they_are_the_last) {
  gateway_harness p;
  for (const int i : {1, 2, 3}) (void)p.keyed_pne(i);
  const auto first = p.page({.limit = 2, .after = {}, .prefix = {}, .state = {}});
  EXPECT_EQ(first.at("pnes").as_array().size(), 2u);
  EXPECT_EQ(first.at("next").as_string(), "urn:dev:os:32473-1002");
  const auto last = p.page({.limit = 2, .after = "urn:dev:os:32473-1002", .prefix = {}, .state = {}});
  EXPECT_EQ(last.at("pnes").as_array().size(), 1u);
  EXPECT_TRUE(last.at("next").is_null());
  EXPECT_TRUE(p.page({.limit = 3, .after = {}, .prefix = {}, .state = {}}).at("next").is_null());
}

TEST(pn_gw_pages, have_the_devices_with_a_prefix_and_a_state_alone) {
  gateway_harness p;
  for (const int i : {1, 2, 11, 12}) (void)p.keyed_pne(i);
  auto& gone = p.keyed_pne(13);
  p.radio.link_down(gone);
  p.advance(seconds{1});
  const auto sleeping =
      p.page({.limit = 100, .after = {}, .prefix = "urn:dev:os:32473-101", .state = "asleep"});
  ASSERT_EQ(sleeping.at("pnes").as_array().size(), 1u);
  EXPECT_EQ(sleeping.at("pnes").as_array()[0].at("entity").as_string(), gone.entity.text());
  const auto keyed = p.page({.limit = 1, .after = {}, .prefix = "urn:dev:os:32473-101", .state = "keyed"});
  ASSERT_EQ(keyed.at("pnes").as_array().size(), 1u);
  EXPECT_EQ(keyed.at("next").as_string(), "urn:dev:os:32473-1011");
}

TEST(pn_gw_forget, erases_the_record_and_the_device_is_new_when_it_is_seen_next) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  EXPECT_EQ(p.command(h, "approve"), "");
  ASSERT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
  p.radio.link_down(h);
  p.advance(seconds{5});
  EXPECT_EQ(p.forget(h), "");
  EXPECT_FALSE(p.record(h).has_value());
  EXPECT_EQ(p.show(h), "null");
  EXPECT_TRUE(p.list().empty());
  EXPECT_TRUE(p.logged("forgotten"));
  p.radio.link_up(h);
  p.advance(seconds{30});
  EXPECT_NE(p.show(h).find("\"awaiting_approval\":true"), std::string::npos) << p.show(h);
  EXPECT_EQ(p.command(h, "approve"), "");
  EXPECT_TRUE(p.advance_until([&] { return p.own_key(h).has_value(); }, seconds{120}));
  EXPECT_EQ(p.own_key(h), h.key());
}

TEST(pn_gw_forget, detects_a_device_in_reach_again) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto before = h.key();
  EXPECT_EQ(p.forget(h), "");
  EXPECT_TRUE(p.advance_until([&] { return p.own_key(h).has_value(); }, seconds{120}));
  EXPECT_EQ(p.own_key(h), h.key());
  EXPECT_GT(h.key(), before);
}

TEST(pn_gw_forget, goes_on_when_detection_on_one_link_closes_another_link_of_the_device) {
  auto c = asking();
  c.links_max = 4;  // two of them for unverified links
  gateway_harness p{c};
  for (int round = 0; round < 20; ++round) {
    std::vector<headset_end*> twins{&p.pne(1), &p.pne(1)};
    for (auto* h : twins) p.radio.link_up(*h);
    p.settle();
    EXPECT_EQ(p.forget(*twins.front()), "");
    p.settle();
    ASSERT_TRUE(p.failures.empty()) << p.failures.front();
    for (auto* h : twins)
      if (h->link != 0) p.radio.link_down(*h);
    p.advance(seconds{5});
  }
}

TEST(pn_gw_forget, erases_a_device_that_has_no_actor) {
  gateway_choices c;
  c.devices_max = 1;
  gateway_harness p{c};
  auto &h = p.keyed_pne(1), &other = p.pne(2);
  evict(p, h, other);
  EXPECT_EQ(p.forget(h), "");
  EXPECT_FALSE(p.record(h).has_value());
  EXPECT_TRUE(p.own_key(other).has_value());
}

TEST(pn_gw_forget, ends_a_rejection) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  EXPECT_EQ(p.command(h, "reject"), "");
  p.settle();
  ASSERT_EQ(h.link, 0u);
  EXPECT_EQ(p.forget(h), "");
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return p.own_key(h).has_value(); }, seconds{120}));
}

TEST(pn_gw_forget, is_answered_when_it_is_durable) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  p.hold_gateway_writes = true;
  caf::scoped_actor self{p.system};
  auto asked = self->request(p.supervisor, caf::infinite, actors::sup_forget{h.entity.text()});
  p.settle();
  ASSERT_FALSE(p.gw_held.empty());
  EXPECT_TRUE(self->mailbox().empty()) << "answered before it is durable";
  p.hold_gateway_writes = false;
  p.settle();
  std::string answer = "(none)";
  asked.receive([&answer](const std::string& s) { answer = s; }, [](const caf::error&) {});
  EXPECT_EQ(answer, "");
}

TEST(pn_gw_forget, reports_a_failed_write_and_the_device_goes_on) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto before = p.own_key(h);
  p.gw_faulty.fail_writes(errc::store_full);
  EXPECT_NE(p.forget(h).find("not known to be done"), std::string::npos);
  EXPECT_NE(p.forget(h).find("not done"), std::string::npos);
  p.gw_faulty.repair();
  p.advance(seconds{5});
  EXPECT_EQ(p.own_key(h), before);
  EXPECT_EQ(p.command(h, "update"), "");
  EXPECT_TRUE(p.advance_until([&] { return p.own_key(h) > before; }, seconds{60}));
}

TEST(pn_gw_forget, whose_failed_write_took_effect_makes_the_device_new) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto before = h.key();
  p.gw_faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  EXPECT_NE(p.forget(h).find("not known to be done"), std::string::npos);
  p.gw_faulty.repair();
  p.advance(seconds{5});
  if (h.link == 0) p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return p.own_key(h).has_value() && h.key() > before; }, seconds{120}));
}

TEST(pn_gw_forget, refuses_a_device_that_it_does_not_know) {
  gateway_harness p;
  auto& h = p.pne(1);
  EXPECT_NE(p.forget(h).find("the gateway has no device"), std::string::npos);
}

TEST(pn_gw_server, is_described_with_its_state_and_last_error) {
  gateway_harness p;
  auto now = p.server_now();
  EXPECT_EQ(now.at("state").as_string(), "connected");
  EXPECT_EQ(now.at("server").as_string(), "test:1");
  EXPECT_EQ(now.at("user").as_string(), "enrolled");
  EXPECT_FALSE(now.contains("last_error"));
  p.advance(seconds{10});
  p.cut_server();
  now = p.server_now();
  EXPECT_EQ(now.at("state").as_string(), "connecting");
  EXPECT_EQ(now.at("last_error").at("text").as_string(), "cut");
  EXPECT_EQ(now.at("since").as_string(), now.at("last_error").at("time").as_string());
}

TEST(pn_gw_server, is_described_with_the_requests_in_flight) {
  gateway_harness p;
  p.swallows = [](const auto& r) { return std::holds_alternative<protocol::key_assignment_request>(r.body); };
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{1});
  EXPECT_EQ(p.server_now().at("requests_in_flight").to_number<int>(), 1);
  EXPECT_EQ(p.server_now().at("requests_waiting").to_number<int>(), 0);
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
