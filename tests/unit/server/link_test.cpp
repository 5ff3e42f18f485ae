// The TLS listener: which peers it accepts, and the limits of a connection. Without actors, so that it runs
// under the thread sanitizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/write.hpp>
#include <condition_variable>
#include <thread>

#include "crypto/key_schedule.hpp"
#include "server/listener.hpp"
#include "server/refusal_log.hpp"
#include "tests/unit/server/captured_log.hpp"
#include "tests/unit/server/gateway_end.hpp"
#include "tests/unit/server/link_harness.hpp"

namespace cpns::server_tests {
namespace {

using harness = link_harness;

const bytes hello{1, 2, 3};

TEST(link, serves_a_gateway_with_a_valid_certificate) {
  harness p;
  auto gw = p.connect();
  ASSERT_TRUE(gw->connected()) << gw->error();
  ASSERT_TRUE(gw->send_frame(hello));
  EXPECT_EQ(gw->read_frame(), hello);
  EXPECT_EQ(p.session()->peer.uri, "urn:cpns:gw:hall");
  EXPECT_EQ(p.session()->peer.gw, crypto::derive_gateway_id(crypto::openssl_suite(),
                                                            crypto::gateway_kind::x509, "urn:cpns:gw:hall"));
  EXPECT_EQ(p.session()->peer.exporter, gw->exporter());
}

/// Refused during the handshake or at the first read (TLS 1.3), and never passed to a session.
void expect_refused(harness& p, crypto::tls_context context, std::string_view why) {
  gateway_end gw{p.at->port(), std::move(context)};
  if (gw.connected()) {
    EXPECT_TRUE(gw.wait_closed());
  }
  EXPECT_TRUE(p.log.says(why)) << why << " is not in:\n" << p.log.text();
  std::lock_guard lock{p.guard};
  EXPECT_TRUE(p.sessions.empty());
}

TEST(link_refusal, refuses_a_client_without_a_certificate) {
  harness p;
  expect_refused(p, crypto::careless(false, nullptr), "no certificate");
}
TEST(link_refusal, refuses_a_certificate_of_an_unknown_ca) {
  harness p;
  const auto other = crypto::make_ca("other CA", 2).value();
  const auto files = p.home.files(
      "foreign", crypto::request_for(crypto::certificate_usage::client, "urn:cpns:gw:x"), &other);
  expect_refused(p, crypto::careless(false, &files), "unknown CA");
}
TEST(link_refusal, refuses_an_expired_certificate) {
  harness p;
  auto request = crypto::request_for(crypto::certificate_usage::client, "urn:cpns:gw:x");
  request.not_after = now_wall() - seconds{60};
  const auto files = p.home.files("old", request);
  expect_refused(p, crypto::careless(false, &files), "expired");
}
TEST(link_refusal, refuses_a_server_certificate_of_a_client) {
  harness p;
  expect_refused(p, crypto::careless(false, &p.home.server), "another purpose");
}
TEST(link_refusal, refuses_a_certificate_with_two_names) {
  harness p;
  auto request = crypto::request_for(crypto::certificate_usage::client, "urn:cpns:gw:x");
  request.uris.push_back("urn:cpns:gw:y");
  const auto files = p.home.files("two", request);
  expect_refused(p, crypto::careless(false, &files), "one SAN URI");
}
TEST(link_refusal, refuses_a_name_that_does_not_match_gateway_uris) {
  const auto named = [](const harness& p, std::string uri) {
    return p.home.files("named", crypto::request_for(crypto::certificate_usage::client, std::move(uri)));
  };
  {
    harness p;
    const auto files = named(p, "urn:cpns:server:two");
    expect_refused(p, crypto::careless(false, &files), "urn:cpns:server:two is not one of a gateway");
    EXPECT_TRUE(p.log.says("add it to gateway_uris"));
  }
  link_limits limits;
  limits.gateway_uris = std::make_shared<const std::vector<std::string>>(
      std::vector<std::string>{"urn:example:hub:*", "https://gw.example.org/1"});
  harness p{limits};
  for (const auto* uri : {"urn:cpns:gw:hall", "https://gw.example.org/12", "urn:example:hub"}) {
    const auto files = named(p, uri);
    expect_refused(p, crypto::careless(false, &files), std::string{uri} + " is not one of a gateway");
  }
  for (const auto* uri : {"urn:example:hub:7", "https://gw.example.org/1"})
    EXPECT_TRUE(p.connect(named(p, uri))->connected()) << uri;
}
TEST(link_refusal, refuses_the_servers_own_name_even_if_it_matches_gateway_uris) {
  link_limits limits;
  limits.gateway_uris = std::make_shared<const std::vector<std::string>>(1, "urn:*");
  harness p{limits};
  const auto files =
      p.home.files("thief", crypto::request_for(crypto::certificate_usage::client, "urn:cpns:server:one"));
  expect_refused(p, crypto::careless(false, &files), "has the URI of this server");
}
TEST(link_refusal, refuses_tls_1_2) {
  harness p;
  auto context = crypto::careless(false, &p.home.client);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  expect_refused(p, std::move(context), "TLS 1.3");
}
TEST(link_refusal, refuses_a_client_without_alpn) {
  harness p;
  auto context = crypto::careless(false, &p.home.client);
  SSL_CTX_set_alpn_protos(context.get(), nullptr, 0);
  expect_refused(p, std::move(context), "ALPN");
}
TEST(link_refusal, refuses_another_alpn) {
  harness p;
  auto context = crypto::careless(false, &p.home.client);
  const unsigned char http[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context.get(), http, sizeof http);
  expect_refused(p, std::move(context), "ALPN");
}

/// A plain TCP connection.
struct plain {
  boost::asio::io_context io;
  boost::asio::ip::tcp::socket s{io};
  explicit plain(std::uint16_t port) { s.connect({boost::asio::ip::address_v4::loopback(), port}); }
  bool wait_closed() {
    s.non_blocking(false);
    std::array<char, 512> sink{};
    boost::system::error_code ec;
    while (!ec) s.read_some(boost::asio::buffer(sink), ec);
    return true;
  }
};

TEST(link_refusal, refuses_a_peer_that_does_not_speak_tls) {
  harness p;
  plain peer{p.at->port()};
  boost::asio::write(peer.s, boost::asio::buffer(std::string{"GET / HTTP/1.1\r\n\r\n"}));
  EXPECT_TRUE(peer.wait_closed());
  EXPECT_TRUE(p.log.says("does not speak TLS"));
}

TEST(link_refusal, strangers_take_no_credit_of_gateways_with_parts_of_a_handshake) {
  link_limits limits;
  limits.handshake_timeout = milliseconds{500};
  limits.credit = std::make_shared<server::frame_credit>(200'000);
  harness p{limits};
  bytes part(16'600, 0);  // of a record of 16,640 bytes
  const bytes head{0x16, 0x03, 0x03, 0x41, 0x00};
  std::copy(head.begin(), head.end(), part.begin());
  std::vector<std::unique_ptr<plain>> strangers;
  for (int i = 0; i < 20; ++i) {
    strangers.push_back(std::make_unique<plain>(p.at->port()));
    boost::asio::write(strangers.back()->s, boost::asio::buffer(part));
  }
  std::size_t most = 0;
  while (!p.log.says("gateway-refused")) {
    most = std::max(most, limits.credit->used());
    std::this_thread::yield();
  }
  EXPECT_EQ(most, 0u);
}

TEST(link_refusal, refuses_a_handshake_that_takes_too_long) {
  link_limits limits;
  limits.handshake_timeout = milliseconds{100};
  harness p{limits};
  plain slow{p.at->port()};
  boost::asio::write(slow.s, boost::asio::buffer("\x16\x03\x01", 3));
  EXPECT_TRUE(slow.wait_closed());
  EXPECT_TRUE(p.log.says("the handshake took too long"));
}

TEST(link_refusal, counts_handshakes_by_outcome) {
  metrics::registry counted;
  link_limits limits;
  limits.handshakes = server::handshake_metrics::make(counted);
  harness p{limits};
  const auto has = [&](std::string_view outcome, int times) {
    const auto line = "{outcome=\"" + std::string{outcome} + "\"} " + std::to_string(times) + "\n";
    EXPECT_NE(counted.text().find(line), std::string::npos) << line << counted.text();
  };
  expect_refused(p, crypto::careless(false, nullptr), "no certificate");
  expect_refused(p, crypto::careless(false, &p.home.server), "another purpose");
  has("certificate", 2);
  auto request = crypto::request_for(crypto::certificate_usage::client, "urn:cpns:gw:x");
  request.uris.push_back("urn:cpns:gw:y");
  const auto two_names = p.home.files("two", request);
  expect_refused(p, crypto::careless(false, &two_names), "one SAN URI");
  has("identity", 1);
  plain peer{p.at->port()};
  boost::asio::write(peer.s, boost::asio::buffer(std::string{"GET / HTTP/1.1\r\n\r\n"}));
  EXPECT_TRUE(peer.wait_closed());
  has("protocol", 1);
  auto gw = p.connect();
  ASSERT_TRUE(gw->send_frame(hello));
  EXPECT_EQ(gw->read_frame(), hello);
  has("accepted", 1);
  has("timeout", 0);
}

TEST(link_refusal, counts_connections_without_a_byte_and_does_not_warn) {
  link_limits limits;
  limits.handshake_timeout = milliseconds{100};
  harness p{limits};
  for (int i = 0; i < 20; ++i) plain{p.at->port()};
  plain open_and_silent{p.at->port()};
  EXPECT_TRUE(open_and_silent.wait_closed());
  EXPECT_TRUE(p.log.says("connections-without-a-byte"));
  p.at->set_limits({});  // 100 ms are too short for a handshake on a busy machine
  auto gw = p.connect();
  ASSERT_TRUE(gw->connected()) << gw->error();
  const auto text = p.log.text();
  EXPECT_EQ(text.find("gateway-refused"), std::string::npos) << text;
  EXPECT_EQ(text.find("\"warn\""), std::string::npos) << text;
  EXPECT_EQ(text.find("connections-without-a-byte"), text.rfind("connections-without-a-byte"))
      << "once an hour";
}

TEST(link, closes_at_once_on_a_header_that_announces_4_gib) {
  for (const auto& head : {bytes{0xff, 0xff, 0xff, 0xff}, bytes{0, 1, 0, 1}, bytes{0, 0, 0, 0}}) {
    harness p;
    auto gw = p.connect();
    ASSERT_TRUE(gw->send_raw(head));
    EXPECT_TRUE(gw->wait_closed());
    EXPECT_FALSE(gw->ended_properly());
    EXPECT_TRUE(p.log.says("bad-frame"));
    EXPECT_TRUE(p.session()->wait_closed());
  }
}

TEST(link, the_largest_frame_passes) {
  harness p;
  auto gw = p.connect();
  const bytes big(protocol::link_message_max, 7);
  ASSERT_TRUE(gw->send_frame(big));
  EXPECT_EQ(gw->read_frame(), big);
  ASSERT_TRUE(gw->send_frame(hello));
  EXPECT_EQ(gw->read_frame(), hello);
}

TEST(link, closes_when_a_frame_is_not_complete_in_time) {
  link_limits limits;
  limits.frame_timeout = milliseconds{200};
  harness p{limits};
  auto gw = p.connect();
  ASSERT_TRUE(gw->send_raw(bytes{0, 0, 1, 0}));
  // Bytes are traffic but do not move the deadline; 200 of 256 bytes are not a complete frame.
  for (int i = 0; i < 200 && gw->send_raw(bytes{1}); ++i) std::this_thread::yield();
  EXPECT_TRUE(gw->wait_closed());
  EXPECT_TRUE(p.log.says("a frame took too long"));
  EXPECT_EQ(p.session()->received(), 0u);
}

TEST(link, closes_idle_and_old_connections) {
  link_limits idle;
  idle.idle_timeout = milliseconds{100};
  harness p{idle};
  auto gw = p.connect();
  EXPECT_TRUE(gw->wait_closed());
  EXPECT_TRUE(gw->ended_properly());
  EXPECT_TRUE(p.log.says("idle"));
  link_limits old;
  old.lifetime = milliseconds{100};
  harness q{old};
  auto gw2 = q.connect();
  EXPECT_TRUE(gw2->wait_closed());
  EXPECT_TRUE(gw2->ended_properly());
  EXPECT_TRUE(q.log.says("lifetime"));
}

TEST(link, answers_all_pipelined_frames_in_order) {
  harness p;
  auto gw = p.connect();
  bytes many;
  for (std::uint8_t i = 0; i < 200; ++i) {
    const bytes frame{0, 0, 0, 2, 9, i};
    many.insert(many.end(), frame.begin(), frame.end());
  }
  ASSERT_TRUE(gw->send_raw(many));
  for (std::uint8_t i = 0; i < 200; ++i) EXPECT_EQ(gw->read_frame(), (bytes{9, i}));
}

TEST(link, bounds_requests_in_flight_by_pausing_reads) {
  link_limits limits;
  limits.requests_in_flight = 4;
  harness p{limits, true};
  auto gw = p.connect();
  bytes many;
  for (std::uint8_t i = 0; i < 50; ++i) {
    const bytes frame{0, 0, 0, 1, i};
    many.insert(many.end(), frame.begin(), frame.end());
  }
  ASSERT_TRUE(gw->send_raw(many));
  ASSERT_TRUE(p.session()->wait_received(4));
  EXPECT_EQ(p.session()->received(), 4u);
  p.session()->release();
  for (std::uint8_t i = 0; i < 50; ++i) EXPECT_EQ(gw->read_frame(), (bytes{i}));
  EXPECT_EQ(p.session()->received(), 50u);
}

TEST(link, bounds_bytes_in_flight_by_pausing_reads) {
  link_limits limits;
  limits.bytes_in_flight = 100'000;
  harness p{limits, true};
  auto gw = p.connect();
  const bytes big(60'000, 1);
  std::thread sending{[&] {
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(gw->send_frame(big));
  }};
  ASSERT_TRUE(p.session()->wait_received(2));
  EXPECT_EQ(p.session()->received(), 2u) << "the second frame reached the bound";
  p.session()->release();
  EXPECT_TRUE(p.session()->wait_received(20)) << "all frames are read in the end";
  sending.join();
}

TEST(link, closes_a_gateway_that_does_not_read_its_answers) {
  link_limits limits;
  limits.frame_timeout = milliseconds{300};
  limits.unsent_bytes = 256 * 1024;
  harness p{limits};
  auto gw = p.connect();
  const bytes big(60'000, 1);
  int sent = 0;
  while (sent < 10'000 && gw->send_frame(big)) ++sent;
  EXPECT_LT(sent, 10'000);
  EXPECT_TRUE(p.log.says("does not read its answers"));
}

TEST(link, further_gateways_wait_while_all_connections_are_in_use) {
  link_limits limits;
  limits.connections = 1;
  harness p{limits};
  auto first = p.connect();
  ASSERT_TRUE(first->connected());
  ASSERT_TRUE(p.log.says("connections-full"));
  std::unique_ptr<gateway_end> second;
  std::thread waiting{[&] { second = p.connect(); }};
  first.reset();
  waiting.join();
  EXPECT_TRUE(second->connected()) << second->error();
}

TEST(link, bounds_and_counts_the_log_lines_of_strangers) {
  harness p;
  p.at->every(milliseconds{10}, [] {});
  constexpr std::size_t strangers = 60;
  for (std::size_t i = 0; i < strangers; ++i) {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket s{io};
    s.connect({boost::asio::ip::address_v4::loopback(), p.at->port()});
    boost::asio::write(s, boost::asio::buffer("GET / HTTP/1.1\r\n\r\n", 18));
    boost::system::error_code gone;
    char byte = 0;
    while (!gone) s.read_some(boost::asio::buffer(&byte, 1), gone);
  }
  const auto text = p.log.text();
  std::size_t lines = 0;
  for (auto at = text.find("gateway-refused"); at != std::string::npos;
       at = text.find("gateway-refused", at + 1))
    ++lines;
  EXPECT_EQ(lines, server::refusal_log::lines);
  auto gw = p.connect();
  ASSERT_TRUE(gw->connected());
  EXPECT_TRUE(p.log.says("gateway-connected")) << "each gateway has its own budget";
}

TEST(link, a_higher_limit_accepts_waiting_gateways_at_once) {
  link_limits limits;
  limits.connections = 1;
  harness p{limits};
  auto first = p.connect();
  ASSERT_TRUE(first->connected());
  ASSERT_TRUE(p.log.says("connections-full"));
  std::unique_ptr<gateway_end> second;
  std::thread waiting{[&] { second = p.connect(); }};
  limits.connections = 2;
  p.at->set_limits(limits);
  waiting.join();
  EXPECT_TRUE(second->connected()) << second->error();
  EXPECT_EQ(p.at->connections(), 2u);
}

TEST(link, drain_answers_all_frames_read_and_then_closes) {
  harness p{{}, true};
  auto gw = p.connect();
  ASSERT_TRUE(gw->send_frame(hello));
  ASSERT_TRUE(p.session()->wait_received(1));
  std::thread draining{[&] { p.at->drain(seconds{10}); }};
  p.session()->release();
  EXPECT_EQ(gw->read_frame(), hello);
  EXPECT_TRUE(gw->wait_closed());
  draining.join();
  EXPECT_EQ(p.at->connections(), 0u);
  EXPECT_FALSE(gateway_end(p.at->port(), crypto::make_client_tls(p.home.client).value()).connected());
}

TEST(link, reports_an_address_in_use) {
  harness p;
  const auto again = server::listener::start("127.0.0.1", p.at->port(),
                                             crypto::make_server_tls(p.home.server).value(), {}, {});
  ASSERT_FALSE(again.has_value());
  EXPECT_EQ(again.error().code, errc::state_conflict);
  EXPECT_NE(again.error().detail.find(std::to_string(p.at->port())), std::string::npos);
  const auto nowhere =
      server::listener::start("not an address", 1, crypto::make_server_tls(p.home.server).value(), {}, {});
  ASSERT_FALSE(nowhere.has_value());
  EXPECT_EQ(nowhere.error().code, errc::config_range);
}

}  // namespace
}  // namespace cpns::server_tests
