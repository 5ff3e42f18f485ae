// Who is let in at the port with TLS, with which level, and for how long.

#include "tls_harness.hpp"

#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace cpns::api {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(tls_door_test, gives_a_client_the_level_of_the_longest_pattern) {
  start();
  const auto anna = admin("anna"), op = admin("op-berta"), guest = admin("carl");
  EXPECT_EQ(ask(anna, verb::put, "/v1/rule"), 204U);
  EXPECT_EQ(ask(op, verb::put, "/v1/work"), 204U);
  EXPECT_EQ(ask(op, verb::put, "/v1/rule"), 403U);
  EXPECT_EQ(ask(guest, verb::get, "/v1/hello"), 200U);
  EXPECT_EQ(ask(guest, verb::put, "/v1/work"), 403U);
  EXPECT_THAT(changes.wait_for("work by urn:cpns:admin:carl at 127.0.0.1:"),
              HasSubstr("is viewer; this request needs operator (api.certificates)"));
}

TEST_F(tls_door_test, knows_the_ends_of_the_certificates_that_it_uses) {
  revoke({});
  start();
  const auto ends = server->certificate_ends();
  const auto now = now_wall();
  for (const auto* part : {"own", "ca", "crl"}) {
    ASSERT_TRUE(ends.contains(part)) << part;
    EXPECT_GT(ends.at(part), now) << part;
  }
  settings.listen.reset();
  start();
  EXPECT_TRUE(server->certificate_ends().empty());
}

TEST(access, prefers_an_exact_uri_and_gives_a_gateway_nothing) {
  config::api_config c;
  c.certificates = {{"urn:cpns:admin:anna", config::api_level::viewer},
                    {"urn:cpns:admin:anna*", config::api_level::operator_},
                    {"urn:*", config::api_level::admin}};
  const auto rules = access_rules::make(c).value();
  EXPECT_EQ(rules.level_of("urn:cpns:admin:anna"), level::viewer);
  EXPECT_EQ(rules.level_of("urn:cpns:admin:annabel"), level::operator_);
  EXPECT_EQ(rules.level_of("urn:cpns:admin:bob"), level::admin);
  EXPECT_EQ(rules.level_of("urn:cpns:gw:hall"), level::nobody);
  EXPECT_EQ(rules.level_of("https://example.org"), level::nobody);
}

TEST_F(tls_door_test, answers_several_requests_on_one_connection_and_names_the_client) {
  start();
  tls_raw c{port(), context_of(admin("anna"))};
  ASSERT_TRUE(c.connected());
  for (int i = 0; i < 3; ++i) {
    c.forget();
    ASSERT_TRUE(c.send(hello()));
    EXPECT_THAT(c.receive_until("}\n"), HasSubstr("urn:cpns:admin:anna at 127.0.0.1:"));
  }
  // Two requests in one TLS record: the second one is in the stream's buffer when the first was answered.
  c.forget();
  ASSERT_TRUE(c.send(hello() + hello()));
  c.receive_until("}\n");
  const auto both = c.receive_until("}\nHTTP/1.1 200");
  EXPECT_THAT(both, HasSubstr("}\nHTTP/1.1 200"));
  EXPECT_EQ(places->now().listen, "127.0.0.1:" + std::to_string(port()));
}

/// Refused in the handshake: the client gets no answer, and log and audit name the reason.
class tls_refuses : public tls_door_test {
 protected:
  void expect_refused(crypto::tls_context context, std::string_view why,
                      handshake_end kind = handshake_end::certificate) {
    tls_raw c{port(), std::move(context)};
    if (c.connected()) {
      (void)c.send(hello());
      EXPECT_EQ(c.receive_all(), "");
    }
    EXPECT_TRUE(log.says(why)) << log.text();
    EXPECT_THAT(changes.wait_for(why), HasSubstr("connect by a client at 127.0.0.1:"));
    auto wanted = decltype(http_counters::handshake_ends){};
    wanted[index_of(kind)] = 1;
    EXPECT_EQ(server->counters().handshake_ends, wanted);
    EXPECT_EQ(server->counters().requests, 0U);
  }
  /// The policy of the client without its own verification of files: any certificate, with this ALPN.
  static crypto::tls_context any(const crypto::tls_files* files, std::string_view alpn) {
    auto out = crypto::careless(false, files);
    if (!alpn.empty()) {
      const auto wire = std::string(1, static_cast<char>(alpn.size())) + std::string{alpn};
      EXPECT_EQ(SSL_CTX_set_alpn_protos(out.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                                        static_cast<unsigned>(wire.size())),
                0);
    } else {
      EXPECT_EQ(SSL_CTX_set_alpn_protos(out.get(), nullptr, 0), 0);
    }
    return out;
  }
};

TEST_F(tls_refuses, a_client_without_a_certificate) {
  start();
  expect_refused(any(nullptr, "http/1.1"), "the peer sent no certificate");
}

TEST_F(tls_refuses, an_unknown_ca) {
  start();
  const auto other = crypto::make_ca("another CA", 2).value();
  const auto files = home.files(
      "eve", crypto::request_for(crypto::certificate_usage::client, "urn:cpns:admin:anna"), &other);
  expect_refused(any(&files, "http/1.1"), "comes from an unknown CA");
}

TEST_F(tls_refuses, an_expired_certificate) {
  start();
  auto r = crypto::request_for(crypto::certificate_usage::client, "urn:cpns:admin:anna");
  r.not_before -= std::chrono::days{2};
  r.not_after -= std::chrono::days{2};
  const auto files = files_of("old", r);
  expect_refused(any(&files, "http/1.1"), "has expired");
}

TEST_F(tls_refuses, a_revoked_certificate) {
  const auto anna = admin("anna");
  revoke({anna});
  start();
  expect_refused(context_of(anna), "was revoked", handshake_end::revoked);
}

TEST_F(tls_refuses, a_servers_certificate) {
  start();
  expect_refused(any(&home.server, "http/1.1"), "for another purpose");
}

TEST_F(tls_refuses, a_certificate_with_two_uris) {
  start();
  auto r = crypto::request_for(crypto::certificate_usage::client, "urn:cpns:admin:anna");
  r.uris.emplace_back("urn:cpns:admin:root");
  const auto files = files_of("two", r);
  expect_refused(any(&files, "http/1.1"), "must have one SAN URI, it has 2", handshake_end::identity);
}

TEST_F(tls_refuses, tls_1_2) {
  start();
  const auto anna = admin("anna");
  auto old = any(&anna, "http/1.1");
  ASSERT_EQ(SSL_CTX_set_max_proto_version(old.get(), TLS1_2_VERSION), 1);
  expect_refused(std::move(old), "does not speak TLS 1.3", handshake_end::protocol);
}

TEST_F(tls_refuses, another_protocol) {
  start();
  const auto anna = admin("anna");
  expect_refused(any(&anna, "cpns/1"), "does not offer ALPN http/1.1", handshake_end::protocol);
}

TEST_F(tls_refuses, plain_http) {
  start();
  boost::asio::io_context io;
  boost::asio::ip::tcp::socket plain{io};
  plain.connect({boost::asio::ip::address_v4::loopback(), port()});
  const auto text = hello();
  boost::asio::write(plain, boost::asio::buffer(text));
  EXPECT_TRUE(log.says("does not speak TLS")) << log.text();
}

TEST_F(tls_door_test, chooses_http_if_the_client_offers_protocols_and_serves_those_that_offer_none) {
  start();
  tls_raw offers{port(), context_of(admin("anna"))};
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(offers.ssl(), &name, &size);
  EXPECT_EQ((std::string{reinterpret_cast<const char*>(name), size}), "http/1.1");
  const auto anna = admin("anna");
  auto none = crypto::careless(false, &anna);
  ASSERT_EQ(SSL_CTX_set_alpn_protos(none.get(), nullptr, 0), 0);
  tls_raw silent{port(), std::move(none)};
  ASSERT_TRUE(silent.send(hello()));
  EXPECT_THAT(silent.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(tls_door_test, answers_a_certificate_without_a_level_with_the_reason) {
  settings.certificates = {{"urn:cpns:admin:anna", config::api_level::admin}};
  start();
  for (const auto& [files, uri] :
       {std::pair{home.client, "urn:cpns:gw:hall"}, {admin("carl"), "urn:cpns:admin:carl"}}) {
    tls_raw c{port(), context_of(files)};
    ASSERT_TRUE(c.connected());
    ASSERT_TRUE(c.send(hello()));
    const auto got = c.receive_until("}\n");
    EXPECT_THAT(got, StartsWith("HTTP/1.1 403 "));
    EXPECT_THAT(got, HasSubstr("is nobody; this request needs viewer (api.certificates)"));
    EXPECT_THAT(got, HasSubstr(uri));
    EXPECT_TRUE(log.says("\"certificate\":\"" + std::string{uri} + "\"")) << log.text();
    EXPECT_THAT(changes.wait_for("connect by " + std::string{uri}),
                HasSubstr("forbidden: this certificate has no level"));
  }
}

TEST_F(tls_door_test, bounds_the_log_lines_about_one_client) {
  settings.certificates = {{"urn:cpns:admin:anna", config::api_level::admin}};
  start();
  const auto carl = admin("carl");
  for (int i = 0; i < 40; ++i) EXPECT_EQ(ask(carl, verb::get, "/v1/hello"), 403U);
  const auto text = log.text();
  std::size_t lines = 0;
  for (auto at = text.find("api-client-refused"); at != std::string::npos;
       at = text.find("api-client-refused", at + 1))
    ++lines;
  EXPECT_GE(lines, 20U);
  EXPECT_LT(lines, 40U);
}

TEST_F(tls_door_test, accepts_its_own_hosts_and_no_others) {
  settings.listen = config::address{"localhost", 0};
  start();
  const auto at = ":" + std::to_string(port());
  const auto anna = admin("anna");
  for (const auto* host : {"127.0.0.1", "localhost", "LocalHost"}) {
    tls_raw c{port(), context_of(anna)};
    ASSERT_TRUE(c.send(hello(host + at)));
    EXPECT_THAT(c.receive_until("}\n"), StartsWith("HTTP/1.1 200 ")) << host;
  }
  for (const auto& host : {"evil.example" + at, std::string{"localhost:1"}, std::string{"localhost"}}) {
    tls_raw c{port(), context_of(anna)};
    ASSERT_TRUE(c.send(hello(host)));
    const auto got = c.receive_until("}\n");
    EXPECT_THAT(got, HasSubstr(R"("code":"wrong-host")")) << host;
    EXPECT_THAT(got, HasSubstr("localhost" + at)) << "all hosts are listed";
    EXPECT_THAT(got, HasSubstr("127.0.0.1" + at));
  }
  tls_raw page{port(), context_of(anna)};
  ASSERT_TRUE(page.send("GET /v1/hello HTTP/1.1\r\nHost: localhost" + at +
                        "\r\nOrigin: https://evil.example\r\n\r\n"));
  EXPECT_THAT(page.receive_until("}\n"), HasSubstr(R"("code":"foreign-origin")"));
}

TEST_F(tls_door_test, uses_a_new_certificate_for_new_connections_and_keeps_the_open_ones) {
  start();
  const auto anna = admin("anna");
  tls_raw before{port(), context_of(anna)};
  ASSERT_TRUE(before.send(hello()));
  before.receive_until("}\n");
  const auto first = crypto::peer_serial(before.ssl());
  (void)files_of("door", server_request());  // the same files
  ASSERT_TRUE(server->reload(settings));
  tls_raw after{port(), context_of(anna)};
  ASSERT_TRUE(after.send(hello()));
  EXPECT_THAT(after.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  EXPECT_NE(crypto::peer_serial(after.ssl()), first);
  before.forget();
  ASSERT_TRUE(before.send(hello()));
  EXPECT_THAT(before.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));

  (void)home.write("door.crt", "half of a certifi", 0644);
  ASSERT_TRUE(server->reload(settings));
  EXPECT_TRUE(log.says("tls-files-refused"));
  EXPECT_EQ(ask(anna, verb::get, "/v1/hello"), 200U);
}

TEST_F(tls_door_test, ends_open_connections_of_a_certificate_that_was_revoked) {
  const auto anna = admin("anna"), berta = admin("berta");
  revoke({});
  start();
  tls_raw idle{port(), context_of(anna)}, reader{port(), context_of(anna)}, other{port(), context_of(berta)};
  for (auto* c : {&idle, &other}) {
    ASSERT_TRUE(c->send(hello()));
    EXPECT_THAT(c->receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  }
  ASSERT_TRUE(
      reader.send("GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port()) + "\r\n\r\n"));
  reader.receive_until("snapshot");
  revoke({anna});
  ASSERT_TRUE(server->reload(settings));
  idle.receive_all();
  reader.receive_all();
  EXPECT_TRUE(log.says("api-client-ended")) << log.text();
  EXPECT_TRUE(log.says("was revoked"));
  other.forget();
  ASSERT_TRUE(other.send(hello()));
  EXPECT_THAT(other.receive_until("}\n"), StartsWith("HTTP/1.1 200 "));
  auto again = client::connect({"127.0.0.1", port()}, anna);
  const auto got = again ? again->ask(verb::get, "/v1/hello") : tl::unexpected<error>(again.error());
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message(), HasSubstr("the peer refused our certificate: it was revoked"));
}

TEST_F(tls_door_test, ends_a_connection_whose_level_is_lower_now) {
  start();
  tls_raw anna{port(), context_of(admin("anna"))}, carl{port(), context_of(admin("carl"))};
  for (auto* c : {&anna, &carl}) {
    ASSERT_TRUE(c->send(hello()));
    c->receive_until("}\n");
  }
  settings.certificates = {{"urn:cpns:admin:anna", config::api_level::viewer},
                           {"urn:cpns:admin:carl", config::api_level::admin}};
  ASSERT_TRUE(server->reload(settings));
  anna.receive_all();
  EXPECT_TRUE(log.says("the level of urn:cpns:admin:anna is lower now"));
  carl.forget();
  ASSERT_TRUE(carl.send(hello()));
  EXPECT_THAT(carl.receive_until("}\n"), StartsWith("HTTP/1.1 200 ")) << "its level grew";
}

TEST_F(tls_door_test, refuses_to_start_without_usable_files) {
  std::filesystem::remove(settings.tls->key);
  const auto made =
      http_server::start(settings, {.component = "server", .routes = routes(hub), .events = &hub});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().detail, HasSubstr("door.key"));
}

}  // namespace
}  // namespace cpns::api
