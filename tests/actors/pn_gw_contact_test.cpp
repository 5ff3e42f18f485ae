// First contact, periodic update and wake-up through the gateway's actors, without faults.
#include "actors/deadline_heap.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using protocol::assignment_reason;

std::optional<epoch> reported(gateway_harness& p, const headset_end& h) {
  const auto row = p.sealed->get(storage::table::entities, as_bytes(h.entity.text())).value();
  return row ? protocol::decode_entity_record(row->expose()).value().last_report : std::nullopt;
}

TEST(pn_gw_actors, first_contact_ends_with_one_key_on_both_sides_and_a_report) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  EXPECT_EQ(h.key(), (epoch{1, 0}));
  EXPECT_EQ(p.own_key(h), h.key());
  EXPECT_EQ(p.record(h)->own()->eukey, h.stored.highest()->eukey);
  EXPECT_EQ(p.count_asked(assignment_reason::first), 1u);
  EXPECT_EQ(reported(p, h), std::nullopt);
  p.advance(milliseconds{60});
  EXPECT_EQ(reported(p, h), h.key());
}

TEST(pn_gw_actors, logs_each_step_with_its_number_and_without_keys) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto text = p.log.text();
  const auto place_of = [&text](const std::string& event) {
    const auto at = text.find("\"event\":\"" + event + "\"");
    EXPECT_NE(at, std::string::npos) << event << " in\n" << text;
    return at;
  };
  EXPECT_LT(place_of("detected"), place_of("requested"));
  EXPECT_LT(place_of("validated"), place_of("requested"));
  EXPECT_LT(place_of("requested"), place_of("answered"));
  EXPECT_LT(place_of("answered"), place_of("delivering"));
  EXPECT_LT(place_of("delivering"), place_of("confirmed"));
  EXPECT_NE(text.find("\"step\":\"9\""), std::string::npos);
  EXPECT_NE(text.find("\"entity\":\"" + h.entity.text() + "\""), std::string::npos);
  EXPECT_EQ(text.find(to_hex(h.stored.highest()->eukey.expose())), std::string::npos);
}

TEST(pn_gw_actors, a_hundred_devices_are_keyed_and_share_one_timer) {
  gateway_harness p;
  std::vector<headset_end*> all;
  for (int i = 0; i < 100; ++i) all.push_back(&p.pne(i));
  for (auto* h : all) p.radio.link_up(*h);
  p.settle();
  for (auto* h : all) EXPECT_TRUE(h->key().has_value());
  p.advance(seconds{90});
  EXPECT_LE(p.scheduler.clock().schedule().size(), 4u) << "one for the supervisor, one for the link";
  std::size_t reports = 0;
  for (const auto& r : p.asked) reports += std::holds_alternative<protocol::epoch_report>(r.body) ? 1 : 0;
  EXPECT_LE(reports, 3u) << "simultaneous reports share a message";
}

TEST(pn_gw_actors, nearer_deadlines_leave_no_timers_behind) {
  gateway_harness p;
  (void)p.keyed_pne(1);  // its next deadline is a day away
  auto& mute = p.pne(2);
  p.radio.loses = [&](air::way, byte_view) { return true; };
  for (int i = 0; i < 50; ++i) {
    p.radio.link_up(mute);
    ASSERT_TRUE(p.advance_until([&] { return mute.link == 0; }, seconds{30}));
  }
  EXPECT_LE(p.scheduler.clock().schedule().size(), 4u);
}

TEST(pn_gw_actors, the_periodic_update_delivers_the_next_key_within_the_interval) {
  gateway_choices c;
  c.rekey = seconds{600};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  p.advance(seconds{539});
  EXPECT_EQ(h.key(), (epoch{1, 0}));
  p.advance(seconds{62});
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(h), h.key());
  p.advance(seconds{60});
  EXPECT_EQ(reported(p, h), h.key());
  EXPECT_EQ(p.assignments().size(), 1u) << "the set has more keys: the server is not asked";
}

TEST(pn_gw_actors, an_update_that_fell_due_in_suspend_runs_after_resume) {
  gateway_choices c;
  c.rekey = seconds{3600};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  p.suspend(std::chrono::hours{3});
  p.advance(actors::look_again + seconds{1});
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(h), h.key());
}

TEST(pn_gw_actors, logs_two_devices_with_one_id_with_both_addresses_at_level_info) {
  gateway_choices c;
  c.rekey = seconds{60};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  auto& twin = p.pne(1);
  ASSERT_EQ(twin.entity, h.entity);
  p.radio.link_up(twin);
  p.advance(seconds{200});
  const auto text = p.log.text();
  const auto at = text.find("\"event\":\"same-id\"");
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(text.find("\"event\":\"same-id\"", at + 1), std::string::npos) << "once an hour";
  const auto line = text.substr(text.rfind('\n', at) + 1, text.find('\n', at) - text.rfind('\n', at));
  EXPECT_NE(line.find("\"level\":\"info\""), std::string::npos) << line;
  for (const auto& address : {h.address, twin.address}) {
    EXPECT_NE(line.find(address), std::string::npos) << line;
    EXPECT_NE(p.show(h).find(address), std::string::npos);
  }
  EXPECT_NE(p.list().at(0).find("\"same_id\":"), std::string::npos);
}

TEST(pn_gw_actors, a_new_interval_applies_to_devices_in_reach) {
  gateway_choices c;
  c.rekey = seconds{86'400};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  auto rules = std::make_shared<actors::supervisor_rules>();
  rules->device.gw = p.gw;
  rules->device.user = p.alice.user;
  rules->device.rekey_override = seconds{60};
  caf::anon_send(p.supervisor, actors::sup_settings{std::move(rules)});
  p.settle();
  EXPECT_EQ(h.key(), (epoch{1, 0}));
  p.advance(seconds{61});
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(h), h.key());
}

TEST(pn_gw_actors, a_set_that_runs_low_is_refilled_in_the_background) {
  gateway_choices c;
  c.rekey = seconds{100};
  gateway_harness p{c};
  auto& h = p.keyed_pne(1);
  p.advance(seconds{100 * 40});
  EXPECT_GT(p.count_asked(assignment_reason::refill), 0u);
  EXPECT_GE(h.key()->index(), 38) << "more keys than the first set has";
  EXPECT_EQ(h.key()->generation(), 1u);
  EXPECT_EQ(p.own_key(h), h.key());
}

TEST(pn_gw_actors, a_pne_that_wakes_up_is_checked_and_gets_the_next_key_at_once) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  p.radio.link_down(h);
  p.settle();
  EXPECT_NE(p.show(h).find("\"state\":\"asleep\""), std::string::npos);
  p.advance(std::chrono::hours{1});
  p.radio.link_up(h);
  p.settle();
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(h), h.key());
  EXPECT_EQ(p.assignments().size(), 1u);
}

TEST(pn_gw_actors, a_pne_that_woke_up_on_an_open_link_is_checked_at_once) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto before = p.own_key(h);
  p.radio.inbox->woke("somebody else");
  p.settle();
  EXPECT_EQ(p.own_key(h), before);
  p.radio.inbox->woke(h.address);
  p.settle();
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  EXPECT_EQ(p.own_key(h), h.key());
  EXPECT_TRUE(p.radio.disconnected.empty());
}

TEST(pn_gw_actors, closes_a_link_whose_pne_woke_up_elsewhere) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  p.radio.loses = [](air::way, byte_view) { return true; };
  p.radio.inbox->woke(h.address);
  p.advance(seconds{30});
  EXPECT_EQ(p.radio.disconnected.size(), 1u);
  EXPECT_NE(p.show(h).find("\"state\":\"asleep\""), std::string::npos);
}

TEST(pn_gw_actors, radios_are_listed_with_links_and_counters) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  const auto text = p.radios();
  for (const auto* part : {"\"name\":\"air\"", "\"counters\":{\"links\":1}", "\"rssi_dbm\":-40"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  EXPECT_NE(text.find("\"entity\":\"" + h.entity.text() + "\""), std::string::npos) << text;
  EXPECT_EQ(text.find("security"), std::string::npos) << "unknown";
}

TEST(pn_gw_actors, a_pne_that_lost_its_memory_is_healed_without_the_server) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  p.advance(seconds{1});
  p.cut_server();
  p.radio.link_down(h);
  protocol::pne_settings again;
  again.entity = h.entity;
  again.temporary_key = headset{h.entity.text()}.temporary_key;
  h.machine = protocol::pne_machine{std::move(again), {}, crypto::openssl_suite(), p.random, p.now};
  p.advance(seconds{5});
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
  EXPECT_EQ(p.own_key(h), h.key());
  EXPECT_TRUE(p.logged("\"event\":\"amnesia\""));
}

TEST(pn_gw_actors, an_operator_can_request_the_next_key) {
  gateway_harness p;
  auto& h = p.keyed_pne(1);
  p.advance(seconds{2});
  EXPECT_EQ(p.command(h, "update"), "");
  p.settle();
  EXPECT_EQ(h.key(), (epoch{1, 1}));
  EXPECT_NE(p.command(h, "dance"), "");
  EXPECT_NE(p.command("urn:dev:os:32473-7777", "update"), "");
  EXPECT_NE(p.command("headset", "update"), "");
}

TEST(pn_gw_actors, lists_devices_in_reach_and_stored_ones) {
  gateway_harness p;
  auto& a = p.keyed_pne(1);
  p.stop();
  p.start();
  p.connect_server();
  auto& b = p.keyed_pne(2);
  const auto all = p.list();
  ASSERT_EQ(all.size(), 2u);
  const auto text = all[0] + all[1];
  EXPECT_NE(text.find(a.entity.text()), std::string::npos);
  EXPECT_NE(text.find(b.entity.text()), std::string::npos);
  EXPECT_NE(text.find("\"state\":\"keyed\""), std::string::npos);
  EXPECT_EQ(text.find(to_hex(b.stored.highest()->eukey.expose())), std::string::npos);
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
