// Step 3: which devices the gateway accepts, and how long it keeps the others in memory.
#include "actors/pn_gw/device_book.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

/// Strangers connect, claim an Entity ID that no device has, and leave.
void claim_names(gateway_harness& p, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    auto& stranger =
        p.radio.add(entity_id::parse("urn:dev:os:32473-" + std::to_string(5000 + i)).value(), secret32{});
    p.radio.link_up(stranger);
    p.settle();
    p.radio.link_down(stranger);
    p.settle();
  }
}

TEST(pn_gw_policy, under_ask_sends_no_request_before_the_operator_approves) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{60});
  EXPECT_TRUE(p.assignments().empty());
  EXPECT_NE(p.show(h).find("\"awaiting_approval\":true"), std::string::npos) << p.show(h);
  EXPECT_EQ(p.command(h, "approve"), "");
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
  EXPECT_NE(p.show(h).find("\"awaiting_approval\":false"), std::string::npos);
}

TEST(pn_gw_policy, an_approval_outlives_a_restart) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  p.swallows = [](const auto& r) { return std::holds_alternative<protocol::key_assignment_request>(r.body); };
  EXPECT_EQ(p.command(h, "approve"), "");
  p.settle();
  p.radio.link_down(h);
  p.stop();
  p.swallows = nullptr;
  p.start();
  p.connect_server();
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{60}));
}

TEST(pn_gw_policy, a_rejected_device_stays_rejected_after_a_restart_until_it_is_approved) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  EXPECT_EQ(p.command(h, "reject"), "");
  p.settle();
  EXPECT_EQ(h.link, 0u) << "the link is closed";
  p.stop();
  p.start();
  p.connect_server();
  p.radio.link_up(h);
  p.advance(seconds{60});
  EXPECT_EQ(h.link, 0u);
  EXPECT_FALSE(h.key().has_value());
  EXPECT_NE(p.show(h).find("\"state\":\"rejected\""), std::string::npos) << p.show(h);

  EXPECT_EQ(p.command(h, "approve"), "");
  p.settle();
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{60}));
}

TEST(pn_gw_policy, a_decision_is_answered_when_it_is_durable) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  p.hold_gateway_writes = true;
  caf::scoped_actor self{p.system};
  auto asked = self->request(p.supervisor, caf::infinite, actors::sup_command{h.entity.text(), "reject"});
  p.settle();
  ASSERT_EQ(p.gw_held.size(), 1u);
  EXPECT_TRUE(self->mailbox().empty()) << "answered before it is durable";
  p.hold_gateway_writes = false;
  p.settle();
  std::string answer = "(none)";
  asked.receive([&answer](const std::string& s) { answer = s; }, [](const caf::error&) {});
  EXPECT_EQ(answer, "");
}

TEST(pn_gw_policy, a_decision_whose_write_failed_is_reported_and_its_device_is_not_evicted) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  p.gw_faulty.fail_writes(errc::store_full);
  EXPECT_NE(p.command(h, "reject").find("not known to be done"), std::string::npos);
  EXPECT_NE(p.command(h, "reject").find("not done"), std::string::npos);
  if (h.link != 0) p.radio.link_down(h);
  p.advance(seconds{60});
  EXPECT_NE(p.stats().find("\"devices\":1,"), std::string::npos) << "evicted: " << p.stats();
  p.gw_faulty.repair();
  p.advance(seconds{2});
  EXPECT_EQ(p.show(h).find("rejected"), std::string::npos) << p.show(h);
  p.radio.link_up(h);
  p.settle();
  EXPECT_EQ(p.command(h, "reject"), "");
  p.stop();
  p.start();
  EXPECT_NE(p.show(h).find("\"state\":\"rejected\""), std::string::npos) << p.show(h);
}

TEST(pn_gw_policy, a_decision_whose_failed_write_took_effect_holds) {
  gateway_harness p{asking()};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  p.gw_faulty.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  EXPECT_NE(p.command(h, "reject").find("not known to be done"), std::string::npos);
  p.gw_faulty.repair();
  p.advance(seconds{2});
  p.radio.link_up(h);
  p.advance(seconds{10});
  EXPECT_EQ(h.link, 0u) << "a rejected device is not served";
  EXPECT_NE(p.show(h).find("\"state\":\"rejected\""), std::string::npos) << p.show(h);
}

TEST(pn_gw_policy, the_allow_list_applies_under_list_and_the_deny_list_always) {
  gateway_choices c;
  c.policy = protocol::validation_policy::list;
  c.allow = {"urn:dev:os:32473-1001", "urn:dev:os:32473-11*"};
  c.deny = {"urn:dev:os:32473-1105"};
  gateway_harness p{c};
  auto &named = p.pne(1), &other = p.pne(2), &by_prefix = p.pne(101), &denied = p.pne(105);
  for (auto* h : {&named, &other, &by_prefix, &denied}) p.radio.link_up(*h);
  p.advance(seconds{30});
  EXPECT_TRUE(named.key().has_value());
  EXPECT_FALSE(other.key().has_value());
  EXPECT_TRUE(by_prefix.key().has_value());
  EXPECT_FALSE(denied.key().has_value());
}

TEST(pn_gw_policy, a_new_allow_list_applies_to_devices_that_come_back) {
  gateway_choices c;
  c.policy = protocol::validation_policy::list;
  gateway_harness p{c};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{1});
  EXPECT_EQ(h.link, 0u);
  auto rules = std::make_shared<actors::supervisor_rules>();
  rules->device.gw = p.gw;
  rules->device.user = p.alice.user;
  rules->device.policy = c.policy;
  rules->validation.allow = {h.entity.text()};
  caf::anon_send(p.supervisor, actors::sup_settings{std::move(rules)});
  p.settle();
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{30}));
}

TEST(pn_gw_policy, does_not_connect_to_peers_below_min_rssi) {
  gateway_choices c;
  c.min_rssi = -70;
  gateway_harness p{c};
  p.radio.inbox->peer_found("far", -90);
  p.radio.inbox->peer_found("near", -50);
  p.radio.inbox->peer_found("unknown strength", 0);
  p.settle();
  EXPECT_EQ(p.radio.connects, (std::vector<std::string>{"near", "unknown strength"}));
}

TEST(pn_gw_policy, closes_links_over_the_bound_and_serves_the_others) {
  gateway_choices c;
  c.links_max = 2;
  gateway_harness p{c};
  auto &a = p.pne(1), &b = p.pne(2), &d = p.pne(3);
  for (auto* h : {&a, &b, &d}) {
    p.radio.link_up(*h);
    p.settle();
  }
  EXPECT_TRUE(a.key() && b.key());
  EXPECT_EQ(d.link, 0u);
  p.radio.link_down(a);
  p.settle();
  p.radio.link_up(d);
  EXPECT_TRUE(p.advance_until([&] { return d.key().has_value(); }, seconds{30}));
}

TEST(pn_gw_policy, does_not_serve_devices_over_the_bound) {
  gateway_choices c;
  c.devices_max = 1;
  gateway_harness p{c};
  (void)p.keyed_pne(1);
  auto& h = p.pne(2);
  p.radio.link_up(h);
  p.settle();
  EXPECT_EQ(h.link, 0u);
  EXPECT_TRUE(p.logged("too-many-devices"));
}

TEST(pn_gw_policy, under_ask_bounds_the_claimed_names_that_await_approval) {
  gateway_harness p{asking()};
  auto& there = p.pne(1);
  p.radio.link_up(there);
  p.settle();
  const auto most = actors::eviction_order::claimed_max;
  claim_names(p, most + 50);
  EXPECT_EQ(p.list().size(), most + 1);
  EXPECT_EQ(p.command(there, "approve"), "") << "it is in reach";
  EXPECT_TRUE(p.advance_until([&] { return there.key().has_value(); }, seconds{30}));
}

TEST(pn_gw_policy, under_ask_evicts_claimed_names_for_a_device_in_reach) {
  auto c = asking();
  c.devices_max = 5;
  gateway_harness p{c};
  auto& early = p.pne(1);
  p.radio.link_up(early);
  p.settle();
  claim_names(p, 8);
  EXPECT_NE(p.stats().find("\"devices\":5,"), std::string::npos) << p.stats();
  auto& late = p.pne(2);
  p.radio.link_up(late);
  p.settle();
  for (auto* h : {&early, &late}) {
    EXPECT_EQ(p.command(*h, "approve"), "");
    EXPECT_TRUE(p.advance_until([&] { return h->key().has_value(); }, seconds{30}));
  }
}

TEST(pn_gw_policy, evicts_a_name_that_was_only_claimed) {
  gateway_harness p;
  for (int i = 0; i < 20; ++i) {
    auto& stranger =
        p.radio.add(entity_id::parse("urn:dev:os:32473-" + std::to_string(5000 + i)).value(), secret32{});
    p.radio.link_up(stranger);
    p.advance(milliseconds{100});
    EXPECT_FALSE(stranger.key().has_value());
    if (stranger.link != 0) p.radio.link_down(stranger);
  }
  p.advance(seconds{900});
  EXPECT_NE(p.stats().find("\"devices\":0,"), std::string::npos) << p.stats();
  auto& h = p.keyed_pne(1);
  p.radio.link_down(h);
  p.advance(seconds{900});
  EXPECT_NE(p.stats().find("\"devices\":1,"), std::string::npos) << "a keyed one stays";
}

TEST(pn_gw_policy, closes_a_link_without_an_answer) {
  gateway_harness p;
  auto& h = p.pne(1);
  p.radio.loses = [](air::way, byte_view) { return true; };
  p.radio.link_up(h);
  EXPECT_TRUE(p.advance_until([&] { return h.link == 0; }, seconds{30}));
  EXPECT_NE(p.stats().find("\"links\":0,\"links_without_device\":0"), std::string::npos) << p.stats();
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
