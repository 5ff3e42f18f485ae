// An open connection ends when its certificate is revoked: at the server, and at the gateway.
#include <algorithm>
#include <fstream>

#include "crypto/tls_source.hpp"
#include "tests/unit/actors_gw/uplink_end.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::uplink_tests {
namespace {

using server_tests::captured_log;

struct revoked_link : testing::Test {
  captured_log log;
  crypto::tls_home home;

  revoked_link() {
    revoke({});
    home.server.crl = home.client.crl = home.folder() + "/ca.crl";
  }
  void revoke(const std::vector<crypto::tls_files>& all) const {
    crypto::revocation_list list{1, now_wall(), now_wall() + std::chrono::days{1}, {}};
    for (const auto& files : all) {
      std::ifstream in{files.certificate};
      const std::string pem{std::istreambuf_iterator<char>{in}, {}};
      list.revoked.push_back({crypto::certificate_of(home.ca, pem).value().serial, now_wall()});
    }
    (void)home.write("ca.crl", crypto::make_crl(home.ca, list).value(), 0644);
  }
  static actors::uplink_settings to(std::uint16_t port) {
    actors::uplink_settings s;
    s.servers =
        std::make_shared<actors::node_list>(std::vector<config::address>{{"127.0.0.1", port}}, gateway_id{});
    s.server_uri = "urn:cpns:server:one";
    s.reconnect_min = milliseconds{20};
    s.reconnect_max = milliseconds{40};
    return s;
  }
};

/// As the server's role: a source of contexts, and a listener that asks it.
struct strict_server {
  explicit strict_server(const crypto::tls_files& files)
      : tls(crypto::tls_source::for_server("server", files).value()) {
    server::link_limits limits;
    limits.revoked = [source = tls](const ssl_st* ssl) { return source->revoked(ssl); };
    sockets = server::listener::start(
                  "127.0.0.1", 0, [source = tls] { return source->context(); }, limits,
                  [this](server::peer_info, std::shared_ptr<server::link_port>) {
                    const std::lock_guard lock{guard};
                    ++sessions;
                    changed.notify_all();
                    return std::make_shared<quiet>();
                  })
                  .value();
  }
  /// A gateway's end of a connection is up before the server has read the last message of its handshake.
  bool wait_sessions(int n) {
    std::unique_lock lock{guard};
    return changed.wait_for(lock, std::chrono::seconds{10}, [this, n] { return sessions >= n; });
  }
  struct quiet final : server::link_session {
    void frames(std::vector<bytes>) override {}
    void closed() override {}
  };
  std::mutex guard;
  std::condition_variable changed;
  int sessions = 0;
  std::shared_ptr<crypto::tls_source> tls;
  std::unique_ptr<server::listener> sockets;
};

TEST_F(revoked_link, of_a_gateway_is_closed_by_the_server_with_one_line_and_not_opened_again) {
  strict_server server{home.server};
  const auto other =
      home.files("other", crypto::request_for(crypto::certificate_usage::client, "urn:cpns:gw:other"));
  recorder good, bad;
  actors::uplink stays{to(server.sockets->port()), crypto::make_client_tls(other).value(), good};
  actors::uplink ends{to(server.sockets->port()), crypto::make_client_tls(home.client).value(), bad};
  ASSERT_TRUE(good.wait_up());
  ASSERT_TRUE(bad.wait_up());
  ASSERT_TRUE(server.wait_sessions(2));
  revoke({home.client});
  server.tls->read_again();
  server.sockets->end_revoked();
  ASSERT_TRUE(bad.wait_down(2)) << "its connection ended, and the next attempt failed";
  const auto why = bad.downs();
  EXPECT_EQ(why.back(), "the peer refused our certificate: it was revoked");
  EXPECT_TRUE(log.says("\"gateway-revoked\"")) << log.text();
  const auto text = log.text();
  const auto line = text.find("\"gateway-revoked\"");
  EXPECT_EQ(line, text.rfind("\"gateway-revoked\"")) << "one line";
  EXPECT_NE(text.find("the peer's certificate was revoked (urn:cpns:gw:hall, serial "), std::string::npos);
  EXPECT_NE(text.find("its connection was closed"), std::string::npos);
  EXPECT_TRUE(log.says("\"gateway-refused\""));
  EXPECT_EQ(good.downs().size(), 0u) << "the connections of others stay";
}

TEST_F(revoked_link, to_a_server_is_left_by_the_gateway) {
  auto plain = home.server;
  plain.crl.clear();
  echo_server server{plain};
  const auto tls = crypto::tls_source::for_client("gateway", home.client).value();
  recorder heard;
  auto settings = to(server.port());
  settings.look = [tls] { tls->read_again(); };
  settings.look_every = milliseconds{20};
  settings.revoked = [tls](const ssl_st* ssl) { return tls->revoked(ssl); };
  actors::uplink up{std::move(settings), [tls] { return tls->context(); }, heard};
  ASSERT_TRUE(heard.wait_up());
  revoke({home.server});
  ASSERT_TRUE(heard.wait_down(2));
  const auto why = heard.downs();
  EXPECT_NE(why[0].find("the peer's certificate was revoked (urn:cpns:server:one, serial "),
            std::string::npos)
      << why[0];
  EXPECT_NE(why[1].find("the peer's certificate was revoked (urn:cpns:server:one, serial "),
            std::string::npos)
      << why[1];
  revoke({});
  EXPECT_TRUE(heard.wait_up(2)) << "the list is read again";
}

}  // namespace
}  // namespace cpns::uplink_tests
