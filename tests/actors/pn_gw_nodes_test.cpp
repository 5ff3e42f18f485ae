// A gateway between several servers: it leaves one that drains or is silent, and no request fails by that.
#include <algorithm>

#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using protocol::drain_order;
using protocol::node_list;
using protocol::node_type;

bool asks_for_keys(const protocol::link_request& r) {
  return std::holds_alternative<protocol::key_assignment_request>(r.body);
}
bool is_probe(const protocol::link_request& r) {
  return std::holds_alternative<protocol::issuer_nonce_request>(r.body);
}

/// The connection ends as after uplink::leave, and the next server is there.
void arrive(gateway_harness& p) {
  p.connection->cut();
  caf::anon_send(p.session, server::link_closed{});
  caf::anon_send(p.link, actors::link_down{p.connected, "left", false, true});
  p.settle();
  p.connect_server();
}

TEST(pn_gw_nodes, leaves_within_the_first_half_of_the_time_and_acknowledges_at_once) {
  gateway_harness p;
  p.know_another_server();
  p.order(drain_order{10'000});
  ASSERT_EQ(p.acknowledged.size(), 1u);
  EXPECT_EQ(p.acknowledged[0].type, node_type::drain_acknowledged);
  EXPECT_TRUE(p.server_now().at("draining").as_bool());
  p.advance(seconds{5});
  EXPECT_EQ(p.left, std::vector<actors::connection_number>{1});
  EXPECT_TRUE(p.given_up.empty());
}

TEST(pn_gw_nodes, gateways_of_one_server_do_not_leave_together) {
  gateway_harness p;
  p.know_another_server();
  std::vector<time_point> moments;
  for (int i = 0; i < 8; ++i) {
    const auto from = p.now;
    const auto before = p.left.size();
    p.order(drain_order{60'000});
    ASSERT_TRUE(p.advance_until([&] { return p.left.size() > before; }, seconds{31}));
    moments.push_back(time_point{p.now - from});
    arrive(p);
    p.servers->learn({"test:1", "other:1"}, p.now + seconds{60});
  }
  const auto [first, last] = std::minmax_element(moments.begin(), moments.end());
  EXPECT_GT(*last - *first, seconds{3});
}

TEST(pn_gw_nodes, finishes_the_request_in_hand_before_it_leaves) {
  gateway_harness p;
  p.know_another_server();
  p.hold_writes = true;
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.settle();
  ASSERT_EQ(p.assignments().size(), 1u);
  p.order(drain_order{0});
  EXPECT_TRUE(p.left.empty()) << "the answer waits for the disk of the server";
  p.hold_writes = false;
  p.complete_all();
  p.settle();
  EXPECT_EQ(p.left.size(), 1u);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{2}));
  EXPECT_EQ(p.assignments().size(), 1u);
}

TEST(pn_gw_nodes, requests_that_come_while_it_leaves_wait_for_the_next_server) {
  gateway_harness p;
  p.know_another_server();
  auto& first = p.pne(1);
  p.hold_writes = true;
  p.radio.link_up(first);
  p.settle();
  p.order(drain_order{0});
  auto& second = p.pne(2);
  p.radio.link_up(second);
  p.settle();
  EXPECT_EQ(p.assignments().size(), 1u) << "the second one is not sent to the server that drains";
  p.hold_writes = false;
  p.complete_all();
  p.settle();
  ASSERT_EQ(p.left.size(), 1u);
  auto& third = p.pne(3);
  p.radio.link_up(third);
  p.settle();
  arrive(p);
  EXPECT_TRUE(p.advance_until([&] { return first.key() && second.key() && third.key(); }, seconds{3}));
  for (const auto* r : p.assignments())
    EXPECT_EQ(std::count_if(p.asked.begin(), p.asked.end(), [r](const auto& o) { return o.id == r->id; }), 1);
}

TEST(pn_gw_nodes, leaves_the_only_server_that_it_knows_at_once) {
  gateway_harness p;
  p.order(drain_order{60'000});
  EXPECT_EQ(p.left.size(), 1u);
  EXPECT_TRUE(p.logged("no other one is known"));
}

TEST(pn_gw_nodes, learns_addresses_and_shows_them) {
  gateway_harness p;
  p.order(node_list{{"other:1", "[::1]:2"}});
  ASSERT_EQ(p.acknowledged.size(), 1u);
  EXPECT_EQ(p.acknowledged[0].type, node_type::nodes_acknowledged);
  const auto servers = p.server_now().at("servers").as_array();
  EXPECT_EQ(servers.size(), 3u);
  for (const auto& s : servers)
    EXPECT_EQ(s.at("source").as_string(), s.at("address").as_string() == "test:1" ? "configured" : "learned");
}

TEST(pn_gw_nodes, a_request_of_the_server_with_a_wrong_shape_changes_nothing_and_is_logged) {
  gateway_harness p;
  auto encoded = encode(protocol::node_request{{}, 1, drain_order{0}});
  encoded.push_back(0);
  p.connection->notify(encoded);
  p.settle();
  EXPECT_TRUE(p.acknowledged.empty());
  EXPECT_TRUE(p.left.empty());
  EXPECT_TRUE(p.logged("bad-answer"));
}

TEST(pn_gw_nodes, a_silent_server_is_probed_and_left_in_time_if_another_one_is_known) {
  gateway_harness p;
  p.know_another_server();
  p.swallows = [](const auto&) { return true; };
  auto& h = p.pne(1);
  const auto began = p.now;
  p.radio.link_up(h);
  ASSERT_TRUE(p.advance_until([&] { return !p.given_up.empty(); }, seconds{5}));
  EXPECT_LE(p.now - began, milliseconds{1700});
  EXPECT_GE(std::count_if(p.asked.begin(), p.asked.end(), is_probe), 1);
  p.swallows = nullptr;
  p.connect_server();
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{3}));
  const auto all = p.assignments();
  for (const auto* r : all) EXPECT_EQ(r->id, all.front()->id) << "the same request";
}

TEST(pn_gw_nodes, a_slow_server_that_answers_the_probe_is_not_left) {
  gateway_harness p;
  p.know_another_server();
  p.swallows = asks_for_keys;
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{9});
  EXPECT_TRUE(p.given_up.empty());
  EXPECT_GE(std::count_if(p.asked.begin(), p.asked.end(), is_probe), 8);
}

TEST(pn_gw_nodes, a_silent_server_is_not_left_early_if_no_other_one_is_known) {
  gateway_harness p;
  p.swallows = [](const auto&) { return true; };
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{15});
  EXPECT_TRUE(p.given_up.empty());
  p.advance(seconds{10});
  EXPECT_FALSE(p.given_up.empty());
}

TEST(pn_gw_nodes, asks_an_overloaded_server_again_with_the_same_request) {
  gateway_harness p;
  p.know_another_server();
  auto settings = std::make_shared<server::actor_settings>(*p.role->settings());
  settings->slow_answer = milliseconds{0};
  p.role->replace_settings(settings);
  p.hold_writes = true;
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{12});
  EXPECT_FALSE(h.key().has_value());
  p.hold_writes = false;
  p.complete_all();
  settings = std::make_shared<server::actor_settings>(*settings);
  settings->slow_answer = seconds{60};
  p.role->replace_settings(settings);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{4}));
  EXPECT_TRUE(p.given_up.empty()) << "it stays";
  const auto all = p.assignments();
  EXPECT_GE(all.size(), 5u);
  for (const auto* r : all) EXPECT_EQ(r->id, all.front()->id);
  EXPECT_EQ(h.key()->index(), 0u) << "no index was spent";
}

TEST(pn_gw_nodes, keeps_fewer_requests_in_flight_to_an_overloaded_server_and_serves_all_in_the_end) {
  gateway_choices c;
  c.requests_max = 16;
  gateway_harness p{c};
  auto settings = std::make_shared<server::actor_settings>(*p.role->settings());
  settings->slow_answer = milliseconds{0};
  p.role->replace_settings(settings);
  p.hold_writes = true;
  std::vector<headset_end*> all;
  for (int i = 0; i < 40; ++i) all.push_back(&p.pne(i));
  for (auto* h : all) p.radio.link_up(*h);
  p.settle();
  EXPECT_EQ(p.server_now().at("requests_in_flight").to_number<int>(), 16);
  p.advance(seconds{7});
  EXPECT_LE(p.server_now().at("requests_in_flight").to_number<int>(), 4);
  p.hold_writes = false;
  p.complete_all();
  settings = std::make_shared<server::actor_settings>(*settings);
  settings->slow_answer = seconds{60};
  p.role->replace_settings(settings);
  const auto is_keyed = [](const auto* h) { return h->key().has_value(); };
  EXPECT_TRUE(p.advance_until([&] { return std::all_of(all.begin(), all.end(), is_keyed); }, seconds{120}));
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
