// What a server tells its gateways by itself: to leave, and where the servers are. Over real TLS.
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <thread>

#include "protocol/node_codec.hpp"
#include "server/server_drain.hpp"
#include "tests/unit/server/role_harness.hpp"

namespace cpns::server_tests {
namespace {

using protocol::drain_order;
using protocol::node_acknowledgement;
using protocol::node_list;
using protocol::node_request;
using protocol::node_type;
using testing::AllOf;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::Le;

/// A gateway of a version that agrees on cpns/1 alone.
crypto::tls_context old_gateway(const crypto::tls_files& files) {
  auto made = crypto::make_client_tls(files).value();
  EXPECT_EQ(SSL_CTX_set_alpn_protos(made.get(),
                                    reinterpret_cast<const unsigned char*>("\x06"
                                                                           "cpns/1"),
                                    7),
            0);
  return made;
}

/// The next frame, which has to be a request of the server.
node_request asked(gateway_end& g) {
  const auto frame = g.read_frame();
  if (!frame) {
    ADD_FAILURE() << "no frame";
    return {};
  }
  auto r = protocol::decode_node_request(*frame);
  EXPECT_TRUE(r.has_value()) << r.error().message();
  return r.value_or(node_request{});
}
std::vector<std::string> addresses(const node_request& r) { return std::get<node_list>(r.body).addresses; }
bool acknowledge(gateway_end& g, const node_request& r) {
  const auto type = std::holds_alternative<node_list>(r.body) ? node_type::nodes_acknowledged
                                                              : node_type::drain_acknowledged;
  return g.send_frame(encode(node_acknowledgement{r.id, r.incarnation, type}));
}

struct drain_harness : role_harness {
  std::thread draining;
  void drain(milliseconds limit) {
    draining = std::thread{[this, limit] { role->drain(limit); }};
  }
  ~drain_harness() {
    if (draining.joinable()) draining.join();
  }
  drain_harness() = default;
  drain_harness(const drain_harness&) = delete;
  drain_harness& operator=(const drain_harness&) = delete;
  std::unique_ptr<gateway_end> connect_old() {
    auto made = std::make_unique<gateway_end>(role->port(), old_gateway(home.client));
    EXPECT_TRUE(made->connected()) << made->error();
    return made;
  }
  void reload_nodes(std::vector<config::address> nodes) {
    config.cluster.nodes = std::move(nodes);
    role->reload(config);
  }
};

TEST(server_drain, gateways_get_more_time_the_more_they_are) {
  EXPECT_EQ(server::time_to_leave(1, seconds{10}), seconds{1});
  EXPECT_EQ(server::time_to_leave(200, seconds{10}), seconds{4});
  EXPECT_EQ(server::time_to_leave(100'000, seconds{10}), milliseconds{7500});
  EXPECT_EQ(server::time_to_leave(1, milliseconds{0}), milliseconds{0});
}

TEST(server_drain, asks_a_gateway_to_leave_answers_it_until_then_and_ends_when_it_has_left) {
  drain_harness p;
  auto g = p.connect();
  const auto r = p.assignment(*g, p.device, p.alice);
  const auto began = std::chrono::steady_clock::now();
  p.drain(seconds{60});
  const auto drain = asked(*g);
  EXPECT_THAT(std::get<drain_order>(drain.body).within_ms, AllOf(Gt(0u), Le(1000u)));
  EXPECT_TRUE(acknowledge(*g, drain));
  EXPECT_EQ(status_of(g->ask(r)), link_status::ok) << "a request that comes during the drain";
  EXPECT_THAT(p.role->not_ready(), ElementsAre(HasSubstr("draining")));
  gateway_end late{p.role->port(), crypto::make_client_tls(p.home.client).value()};
  EXPECT_FALSE(late.connected());
  g.reset();
  p.draining.join();
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds{990}) << "it does not wait for the time";
  EXPECT_EQ(p.role->connections(), 0u);
}

TEST(server_drain, closes_a_gateway_that_stays_after_the_time) {
  drain_harness p;
  auto g = p.connect();
  EXPECT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})).has_value());
  p.drain(milliseconds{400});
  EXPECT_THAT(std::get<drain_order>(asked(*g).body).within_ms, AllOf(Gt(0u), Le(300u)));
  EXPECT_TRUE(g->wait_closed());
  EXPECT_TRUE(g->ended_properly());
}

TEST(server_drain, closes_an_old_gateway_at_once_without_a_message_that_it_does_not_know) {
  drain_harness p;
  p.config.cluster.nodes = {{"node1", 7443}};
  p.role->reload(p.config);
  auto g = p.connect_old();
  EXPECT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})).has_value());
  p.drain(seconds{60});
  EXPECT_EQ(g->read_frame(), std::nullopt);
  p.draining.join();
  EXPECT_EQ(p.role->connections(), 0u);
}

TEST(server_drain, goes_on_without_an_end_of_the_process_and_closes_what_is_left) {
  drain_harness p;
  auto g = p.connect();
  EXPECT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})).has_value());
  p.role->leaving().begin(milliseconds{100});
  const auto order = asked(*g);
  EXPECT_TRUE(acknowledge(*g, order));
  p.role->leaving().begin(seconds{60});
  EXPECT_TRUE(g->wait_closed()) << "within the first time; the second call changes nothing";
  p.drain(seconds{60});
  p.draining.join();
  EXPECT_EQ(p.role->overview().at("drain").at("connections").to_number<int>(), 0);
}

TEST(server_nodes, tells_a_gateway_the_addresses_after_the_handshake_and_when_they_change) {
  drain_harness p;
  p.config.cluster.advertise = config::address{"node1", 7443};
  p.config.cluster.nodes = {{"node1", 7443}, {"::1", 7443}};
  p.role->reload(p.config);
  auto g = p.connect();
  const auto first = asked(*g);
  EXPECT_THAT(addresses(first), ElementsAre("node1:7443", "[::1]:7443"));
  EXPECT_TRUE(acknowledge(*g, first));
  EXPECT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})).has_value())
      << "an acknowledgement is not a request";
  p.reload_nodes({{"node3", 1}});
  const auto second = asked(*g);
  EXPECT_THAT(addresses(second), ElementsAre("node1:7443", "node3:1"));
  EXPECT_NE(first.id, second.id);
}

TEST(server_nodes, sends_only_the_newest_list_to_a_gateway_that_does_not_acknowledge) {
  drain_harness p;
  p.reload_nodes({{"a", 1}});
  auto g = p.connect();
  const auto first = asked(*g);
  for (const auto* host : {"b", "c", "d"}) p.reload_nodes({{host, 1}});
  EXPECT_TRUE(acknowledge(*g, node_request{p.new_id(), 0, node_list{}})) << "of another id: nothing follows";
  EXPECT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})).has_value());
  EXPECT_TRUE(acknowledge(*g, first));
  EXPECT_THAT(addresses(asked(*g)), ElementsAre("d:1"));
}

TEST(server_nodes, acknowledgements_take_no_place_among_the_requests_in_flight) {
  drain_harness p;
  p.config.limits.requests_in_flight = 1;
  p.config.cluster.nodes = {{"a", 1}};
  p.role->reload(p.config);
  auto g = p.connect();
  const auto nodes = asked(*g);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(acknowledge(*g, nodes));
  EXPECT_TRUE(g->ask(p.request(protocol::issuer_nonce_request{})).has_value());
}

TEST(server_nodes, an_acknowledgement_of_a_wrong_shape_or_of_an_old_gateway_is_a_bad_request) {
  drain_harness p;
  auto encoded = encode(node_acknowledgement{p.new_id(), 0, node_type::drain_acknowledged});
  auto old = p.connect_old();
  EXPECT_TRUE(old->send_frame(encoded));
  EXPECT_EQ(status_of(old->receive()), link_status::bad_request);
  encoded[0] = 0x84;
  encoded.push_back(0);
  auto g = p.connect();
  EXPECT_TRUE(g->send_frame(encoded));
  EXPECT_EQ(status_of(g->receive()), link_status::bad_request);
}

}  // namespace
}  // namespace cpns::server_tests
