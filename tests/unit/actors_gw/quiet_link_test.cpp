// On both ends of the server link the kernel probes the peer: checks the options of the sockets that the
// production code connected and accepted in this process.
#include "tests/support/probing.hpp"
#include "tests/unit/actors_gw/uplink_end.hpp"

namespace cpns::uplink_tests {
namespace {

TEST(quiet_link, each_end_probes_after_its_configured_time) {
  crypto::tls_home home;
  recorder heard;
  server::link_limits limits;
  limits.probe = seconds{7};
  echo_server server{home.server, 0, limits};
  actors::uplink_settings s;
  s.servers = std::make_shared<actors::node_list>(std::vector<config::address>{{"127.0.0.1", server.port()}},
                                                  gateway_id{});
  s.server_uri = "urn:cpns:server:one";
  s.probe = seconds{12};
  actors::uplink up{std::move(s), crypto::make_client_tls(home.client).value(), heard};
  ASSERT_TRUE(heard.wait_up());
  int gateways = 0, servers = 0;
  for (const auto& c : connected_sockets()) {
    if (c.here != server.port() && c.there != server.port()) continue;
    const bool accepted = c.here == server.port();
    ++(accepted ? servers : gateways);
    const auto options = probing_of(c.number);
    EXPECT_EQ(options.at("on"), 1) << accepted;
    EXPECT_EQ(options.at("idle"), accepted ? 5 : 6);
    EXPECT_EQ(options.at("interval"), accepted ? 1 : 3);
    EXPECT_EQ(options.at("count"), 2) << accepted;
    EXPECT_EQ(options.at("unacknowledged"), accepted ? 7000 : 12'000);
  }
  EXPECT_EQ(servers, 1);
  EXPECT_EQ(gateways, 1);
}

}  // namespace
}  // namespace cpns::uplink_tests
