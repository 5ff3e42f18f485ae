// The TLS connection to the server: which servers it accepts, which faults it survives. Without actors, so that
// it runs under the thread sanitizer.
#include "tests/unit/actors_gw/uplink_end.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <boost/asio/write.hpp>
#include <future>

#include "crypto/key_schedule.hpp"
#include "protocol/constants.hpp"

namespace cpns::uplink_tests {
namespace {

using actors::uplink;
using actors::uplink_settings;
using testing::HasSubstr;

struct uplink_harness {
  crypto::tls_home home;
  recorder heard;

  [[nodiscard]] uplink_settings settings(std::vector<std::uint16_t> ports) const {
    uplink_settings s;
    std::vector<config::address> all;
    for (const auto port : ports) all.push_back({"127.0.0.1", port});
    s.servers = std::make_shared<actors::node_list>(std::move(all), gateway_id{});
    s.server_uri = "urn:cpns:server:one";
    s.reconnect_min = milliseconds{10};
    s.reconnect_max = milliseconds{40};
    return s;
  }
  std::unique_ptr<uplink> connect(std::uint16_t port) { return connect(settings({port})); }
  std::unique_ptr<uplink> connect(uplink_settings s) {
    return std::make_unique<uplink>(std::move(s), crypto::make_client_tls(home.client).value(), heard);
  }
};

bytes frame_of(std::size_t size, std::uint8_t fill) { return bytes(size, fill); }

bytes with_length(const bytes& body) {
  bytes out;
  for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(body.size() >> shift));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

TEST(uplink, looks_again_and_again_while_it_is_connected) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto s = p.settings({server.port()});
  std::atomic<bool> connected = false;
  std::promise<void> done;
  s.look_every = milliseconds{1};
  s.look = [&, looks = 0]() mutable {
    if (connected && ++looks == 3) done.set_value();
  };
  auto up = p.connect(std::move(s));
  ASSERT_TRUE(p.heard.wait_up());
  connected = true;
  EXPECT_EQ(done.get_future().wait_for(seconds{10}), std::future_status::ready);
  const auto destroyed = std::async(std::launch::async, [&] { up.reset(); });
  EXPECT_EQ(destroyed.wait_for(seconds{10}), std::future_status::ready);
}

TEST(uplink, does_not_wait_for_the_next_look_when_it_ends) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto s = p.settings({server.port()});
  s.look = [] {};
  s.look_every = std::chrono::minutes{1};
  auto up = p.connect(std::move(s));
  ASSERT_TRUE(p.heard.wait_up());
  const auto destroyed = std::async(std::launch::async, [&] { up.reset(); });
  EXPECT_EQ(destroyed.wait_for(seconds{10}), std::future_status::ready);
}

TEST(uplink, both_ends_have_the_same_exporter_and_frames_travel_in_order) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_up());
  EXPECT_EQ(p.heard.servers().at(0), "127.0.0.1:" + std::to_string(server.port()));
  for (int i = 0; i < 300; ++i)
    up->send(p.heard.latest(), frame_of(1 + static_cast<std::size_t>(i) * 7, static_cast<std::uint8_t>(i)));
  ASSERT_TRUE(p.heard.wait_frames(300));
  EXPECT_EQ(p.heard.exporters().at(0), server.exporters().at(0));
  const auto all = p.heard.frames();
  for (std::size_t i = 0; i < 300; ++i)
    EXPECT_EQ(all[i], secret_bytes{frame_of(1 + i * 7, static_cast<std::uint8_t>(i))}) << i;
}

TEST(uplink, the_largest_frame_passes) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_up());
  for (std::uint8_t i = 0; i < 4; ++i) up->send(p.heard.latest(), frame_of(protocol::link_message_max, i));
  ASSERT_TRUE(p.heard.wait_frames(4));
  EXPECT_EQ(p.heard.frames().at(3), secret_bytes{frame_of(protocol::link_message_max, 3)});
}

TEST(uplink, reconnects_with_a_new_exporter_after_the_connection_ended) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_up());
  up->send(p.heard.latest(), frame_of(10, 1));
  ASSERT_TRUE(p.heard.wait_frames(1)) << "the server's end is up too";
  server.close_connections();
  ASSERT_TRUE(p.heard.wait_down());
  ASSERT_TRUE(p.heard.wait_up(2));
  const auto exporters = p.heard.exporters();
  EXPECT_FALSE(exporters[0] == exporters[1]);
  up->send(p.heard.latest(), frame_of(10, 2));
  EXPECT_TRUE(p.heard.wait_frames(2));
}

TEST(uplink, tries_the_next_address_when_one_does_not_answer) {
  uplink_harness p;
  std::uint16_t nobody = 0;
  {
    echo_server gone{p.home.server};
    nobody = gone.port();
  }
  echo_server server{p.home.server};
  auto up = p.connect(p.settings({nobody, server.port()}));
  ASSERT_TRUE(p.heard.wait_up());
  EXPECT_EQ(p.heard.servers().at(0), "127.0.0.1:" + std::to_string(server.port()));
}

TEST(uplink, finds_a_server_that_starts_later_and_reports_the_same_failure_once) {
  uplink_harness p;
  std::uint16_t port = 0;
  {
    echo_server gone{p.home.server};
    port = gone.port();
  }
  auto up = p.connect(port);
  ASSERT_TRUE(p.heard.wait_down());
  echo_server server{p.home.server, port};
  ASSERT_TRUE(p.heard.wait_up());
  EXPECT_EQ(p.heard.downs().size(), 1u);
}

TEST(uplink, refuses_a_server_with_another_name_and_a_valid_certificate) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto s = p.settings({server.port()});
  s.server_uri = "urn:cpns:server:two";
  auto up = p.connect(std::move(s));
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_THAT(p.heard.downs().at(0), HasSubstr("urn:cpns:server:one"));
  EXPECT_EQ(p.heard.ups(), 0u);
}

TEST(uplink, refuses_a_server_of_another_ca) {
  uplink_harness p;
  crypto::tls_home other;
  echo_server server{other.server};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_EQ(p.heard.ups(), 0u);
}

TEST(uplink, reports_a_server_that_refuses_its_certificate) {
  uplink_harness p;
  crypto::tls_home other;
  echo_server server{p.home.server};
  auto files = other.client;
  files.ca = p.home.client.ca;
  uplink up{p.settings({server.port()}), crypto::make_client_tls(files).value(), p.heard};
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_TRUE(server.exporters().empty());
}

TEST(uplink, refuses_a_server_without_the_alpn_protocol) {
  uplink_harness p;
  auto context = crypto::careless(true, &p.home.server);
  SSL_CTX_set_alpn_select_cb(context.get(), nullptr, nullptr);
  rude_server server{std::move(context), [](auto& s) { rude_server::wait_gone(s); }};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_THAT(p.heard.downs().at(0), HasSubstr("cpns/1"));
  EXPECT_EQ(p.heard.ups(), 0u);
}

TEST(uplink, refuses_a_server_with_a_gateway_certificate) {
  uplink_harness p;
  rude_server server{crypto::careless(true, &p.home.client), [](auto& s) { rude_server::wait_gone(s); }};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_EQ(p.heard.ups(), 0u);
}

TEST(uplink, gives_up_a_silent_server_after_the_connect_timeout) {
  uplink_harness p;
  rude_server server{nullptr, [](auto& s) { rude_server::wait_gone(s); }};
  auto s = p.settings({server.port()});
  s.connect_timeout = milliseconds{100};
  auto up = p.connect(std::move(s));
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_THAT(p.heard.downs().at(0), HasSubstr("100 ms"));
}

TEST(uplink, refuses_a_server_that_does_not_speak_tls) {
  uplink_harness p;
  rude_server server{nullptr, [](auto& s) {
                       boost::system::error_code ignored;
                       boost::asio::write(s.next_layer(),
                                          boost::asio::buffer("HTTP/1.1 400 Bad Request\r\n\r\n", 28),
                                          ignored);
                       rude_server::wait_gone(s);
                     }};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_EQ(p.heard.ups(), 0u);
}

TEST(uplink, ends_the_connection_on_frame_lengths_of_0_and_4_gib) {
  for (const char* header : {"00000000", "ffffffff", "00010001"}) {
    uplink_harness p;
    const auto head = from_hex(header).value();
    rude_server server{crypto::careless(true, &p.home.server), [&head](auto& s) {
                         boost::system::error_code ignored;
                         boost::asio::write(s, boost::asio::buffer(head), ignored);
                         rude_server::wait_gone(s);
                       }};
    auto up = p.connect(server.port());
    ASSERT_TRUE(p.heard.wait_up());
    ASSERT_TRUE(p.heard.wait_down()) << header;
    EXPECT_THAT(p.heard.downs().at(0), HasSubstr("a frame of"));
    EXPECT_TRUE(p.heard.frames().empty());
  }
}

TEST(uplink, stops_reading_a_flooding_server_until_its_frames_are_taken) {
  uplink_harness p;
  const auto wire = with_length(frame_of(60'000, 9));
  rude_server server{crypto::careless(true, &p.home.server), [&wire](auto& s) {
                       boost::system::error_code gone;
                       while (!gone) boost::asio::write(s, boost::asio::buffer(wire), gone);
                     }};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_frames(18)) << "1 MiB and the frame that exceeds it";
  EXPECT_FALSE(p.heard.wait_frames(20, milliseconds{300}));
  up->taken(p.heard.latest() + 1, 1'000'000);
  EXPECT_FALSE(p.heard.wait_frames(20, milliseconds{100})) << "of another connection";
  up->taken(p.heard.latest(), 600'000);
  EXPECT_TRUE(p.heard.wait_frames(27));
  EXPECT_FALSE(p.heard.wait_frames(30, milliseconds{300}));
}

TEST(uplink, assembles_a_frame_that_arrives_byte_by_byte) {
  uplink_harness p;
  const auto wire = with_length(frame_of(40, 9));
  rude_server server{crypto::careless(true, &p.home.server), [&wire](auto& s) {
                       boost::system::error_code ignored;
                       for (const auto byte : wire)
                         boost::asio::write(s, boost::asio::buffer(&byte, 1), ignored);
                       rude_server::wait_gone(s);
                     }};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_frames(1));
  EXPECT_EQ(p.heard.frames().at(0), secret_bytes{frame_of(40, 9)});
}

TEST(uplink, drops_frames_without_a_connection) {
  uplink_harness p;
  std::uint16_t port = 0;
  {
    echo_server gone{p.home.server};
    port = gone.port();
  }
  auto up = p.connect(port);
  ASSERT_TRUE(p.heard.wait_down());
  for (int i = 0; i < 200; ++i) up->send(p.heard.latest(), frame_of(protocol::link_message_max, 1));
  echo_server server{p.home.server, port};
  ASSERT_TRUE(p.heard.wait_up());
  up->send(p.heard.latest(), frame_of(5, 7));
  ASSERT_TRUE(p.heard.wait_frames(1));
  EXPECT_EQ(p.heard.frames().at(0), secret_bytes{frame_of(5, 7)}) << "the owner repeats its requests";
}

TEST(uplink, ends_at_once_in_any_state) {
  uplink_harness p;
  rude_server silent{nullptr, [](auto& s) { rude_server::wait_gone(s); }};
  const auto began = std::chrono::steady_clock::now();
  p.connect(silent.port()).reset();
  auto waiting = p.settings({silent.port()});
  waiting.connect_timeout = milliseconds{10};
  waiting.reconnect_min = waiting.reconnect_max = milliseconds{60'000};
  auto up = p.connect(std::move(waiting));
  ASSERT_TRUE(p.heard.wait_down());
  up.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds{9});
}

TEST(uplink, reports_an_idle_close_as_planned_and_a_cut_as_not_planned) {
  uplink_harness p;
  server::link_limits idle;
  idle.idle_timeout = milliseconds{100};
  echo_server server{p.home.server, 0, idle};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_down());
  EXPECT_EQ(p.heard.planned_ends(), 1u);
  uplink_harness q;
  echo_server cuts{q.home.server};
  auto other = q.connect(cuts.port());
  ASSERT_TRUE(q.heard.wait_up());
  other->send(q.heard.latest(), frame_of(1, 1));
  ASSERT_TRUE(q.heard.wait_frames(1));
  cuts.close_connections();
  ASSERT_TRUE(q.heard.wait_down());
  EXPECT_EQ(q.heard.planned_ends(), 0u);
}

TEST(uplink, ends_with_a_tls_close) {
  uplink_harness p;
  std::atomic<bool> proper{false};
  rude_server server{crypto::careless(true, &p.home.server), [&proper](auto& s) {
                       boost::system::error_code gone;
                       char byte = 0;
                       while (!gone) s.read_some(boost::asio::buffer(&byte, 1), gone);
                       proper = gone == boost::asio::error::eof;
                     }};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_up());
  up.reset();
  server.stop();
  EXPECT_TRUE(proper);
}

TEST(uplink, sends_a_frame_only_on_the_connection_it_was_made_for) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_up());
  const auto first = p.heard.latest();
  up->send(first, frame_of(1, 1));
  ASSERT_TRUE(p.heard.wait_frames(1));
  server.close_connections();
  ASSERT_TRUE(p.heard.wait_up(2));
  up->send(first, frame_of(2, 2));
  up->send(0, frame_of(3, 3));
  up->send(p.heard.latest(), frame_of(4, 4));
  ASSERT_TRUE(p.heard.wait_frames(2));
  EXPECT_EQ(p.heard.frames().at(1), secret_bytes{frame_of(4, 4)});
}

TEST(uplink, connects_to_the_next_server_after_give_up) {
  uplink_harness p;
  echo_server one{p.home.server}, two{p.home.server};
  auto up = p.connect(p.settings({one.port(), two.port()}));
  ASSERT_TRUE(p.heard.wait_up());
  up->give_up(p.heard.latest() + 1, "another connection");
  up->give_up(p.heard.latest(), "nothing comes");
  ASSERT_TRUE(p.heard.wait_up(2));
  EXPECT_EQ(p.heard.downs(), std::vector<std::string>{"nothing comes"});
  EXPECT_NE(p.heard.servers().at(1), p.heard.servers().at(0));
}

TEST(uplink, leaves_a_server_with_a_tls_close_and_goes_to_another_one_at_once) {
  uplink_harness p;
  echo_server one{p.home.server}, two{p.home.server};
  auto s = p.settings({one.port(), two.port()});
  s.reconnect_min = s.reconnect_max = milliseconds{60'000};
  const auto known = s.servers;
  auto up = p.connect(std::move(s));
  ASSERT_TRUE(p.heard.wait_up());
  up->leave(p.heard.latest() + 1);
  known->drain(p.heard.servers().at(0), now_anchored(), seconds{10});
  up->leave(p.heard.latest());
  ASSERT_TRUE(p.heard.wait_up(2)) << "without the pause of a fault";
  EXPECT_NE(p.heard.servers().at(1), p.heard.servers().at(0));
  EXPECT_EQ(p.heard.moves(), 1u);
}

TEST(uplink, agrees_on_the_version_in_which_a_server_may_ask) {
  uplink_harness p;
  echo_server server{p.home.server};
  auto up = p.connect(server.port());
  ASSERT_TRUE(p.heard.wait_up());
  EXPECT_TRUE(p.heard.may_ask());
  uplink_harness q;
  auto context = crypto::careless(true, &q.home.server);
  SSL_CTX_set_alpn_select_cb(
      context.get(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned, void*) {
        *out = reinterpret_cast<const unsigned char*>("cpns/1");
        *size = 6;
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  rude_server old{std::move(context), [](auto& s) { rude_server::wait_gone(s); }};
  auto other = q.connect(old.port());
  ASSERT_TRUE(q.heard.wait_up());
  EXPECT_FALSE(q.heard.may_ask());
}

TEST(uplink, is_not_held_by_a_server_that_accepts_and_is_silent_while_another_one_is_known) {
  uplink_harness p;
  rude_server frozen{nullptr, [](auto& s) { rude_server::wait_gone(s); }};
  echo_server server{p.home.server};
  auto s = p.settings({frozen.port(), server.port()});
  s.connect_timeout = std::chrono::minutes{10};
  s.first_connect_timeout = milliseconds{50};
  auto up = p.connect(std::move(s));
  ASSERT_TRUE(p.heard.wait_up());
  EXPECT_EQ(p.heard.servers().at(0), "127.0.0.1:" + std::to_string(server.port()));
}

}  // namespace
}  // namespace cpns::uplink_tests
