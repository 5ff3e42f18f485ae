// Accepted and refused peers of a handshake, and the reasons for the log.

#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include "crypto/tls_hosts.hpp"
#include "crypto/tls_source.hpp"
#include "crypto_test.hpp"
#include "csr.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using testing::HasSubstr;

struct tls_handshake : testing::Test {
  tls_home home;
  tls_context server = must(make_server_tls(home.server));
  tls_context client = must(make_client_tls(home.client));

  static tls_context must(result<tls_context> made) {
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(*made) : nullptr;
  }
  /// Expects the server to refuse this client for `why`.
  void refused_by_server(SSL_CTX* bad, const std::string& why) const {
    const tls_pair pair{bad, server.get()};
    EXPECT_FALSE(pair.server_ok);
    EXPECT_FALSE(pair.client_ok);
    EXPECT_THAT(pair.server_why, HasSubstr(why));
  }
  void refused_by_client(SSL_CTX* bad, const std::string& why) const {
    const tls_pair pair{client.get(), bad};
    EXPECT_FALSE(pair.client_ok);
    EXPECT_THAT(pair.client_why, HasSubstr(why));
  }
};

TEST_F(tls_handshake, succeeds_between_two_good_ends) {
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
  EXPECT_STREQ(SSL_get_version(pair.server.get()), "TLSv1.3");
  EXPECT_TRUE(check_alpn(pair.server.get()));
  EXPECT_TRUE(check_alpn(pair.client.get()));
  EXPECT_EQ(peer_uri(pair.server.get()).value(), "urn:cpns:gw:hall");
  EXPECT_TRUE(expect_uri(pair.client.get(), "urn:cpns:server:one"));
  const auto wrong = expect_uri(pair.client.get(), "urn:cpns:server:two");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, errc::peer_identity);
  EXPECT_THAT(wrong.error().detail, HasSubstr("urn:cpns:server:one"));
}

TEST_F(tls_handshake, succeeds_with_each_kind_of_key_that_a_csr_may_have) {
  for (const auto& key :
       {new_key(EVP_EC_gen("P-256")), new_key(EVP_EC_gen("P-384")), new_key(EVP_EC_gen("P-521")),
        new_key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")), new_key(EVP_RSA_gen(2048))}) {
    const auto issued =
        issue_for_key(home.ca, request_for(certificate_usage::client, "urn:cpns:gw:kitchen"), csr_for(key));
    ASSERT_TRUE(issued) << issued.error().message();
    auto files = home.client;
    files.certificate = home.write("kitchen.crt", *issued, 0644);
    files.key = home.write("kitchen.key", key_text(key), 0600);
    const auto own = must(make_client_tls(files));
    const tls_pair pair{own.get(), server.get()};
    EXPECT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
    EXPECT_EQ(peer_uri(pair.server.get()).value_or(""), "urn:cpns:gw:kitchen");
  }
}

TEST_F(tls_handshake, gives_both_ends_the_same_exporter_and_each_connection_another) {
  const tls_pair a{client.get(), server.get()}, b{client.get(), server.get()};
  const auto at_client = tls_exporter(a.client.get()), at_server = tls_exporter(a.server.get());
  ASSERT_TRUE(at_client && at_server);
  EXPECT_EQ(*at_client, *at_server);
  EXPECT_NE(*at_client, tls_exporter(b.client.get()).value());
  const std::unique_ptr<SSL, decltype(&SSL_free)> fresh{SSL_new(client.get()), SSL_free};
  EXPECT_FALSE(tls_exporter(fresh.get()));
}

TEST_F(tls_handshake, leaves_no_session_to_resume) {
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok);
  EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get0_session(pair.client.get())), 0);
  EXPECT_EQ(SSL_get_num_tickets(pair.server.get()), 0u);
  EXPECT_EQ(SSL_CTX_get_session_cache_mode(server.get()), SSL_SESS_CACHE_OFF);
}

TEST_F(tls_handshake, a_client_of_another_ca_is_refused) {
  const auto other = make_ca("foreign CA", 2).value();
  const auto files =
      home.files("foreign", request_for(certificate_usage::client, "urn:cpns:gw:foreign"), &other);
  refused_by_server(careless(false, &files).get(),
                    "unknown CA (urn:cpns:gw:foreign, issued by /CN=foreign CA)");
}

TEST_F(tls_handshake, a_client_without_a_certificate_is_refused) {
  const auto bad = careless(false, nullptr);
  refused_by_server(bad.get(), "sent no certificate");
  const tls_pair pair{bad.get(), server.get()};
  EXPECT_THAT(pair.client_why, HasSubstr("requires a certificate"));
}

TEST_F(tls_handshake, an_expired_client_is_refused_with_its_date) {
  auto r = request_for(certificate_usage::client, "urn:cpns:gw:old");
  r.not_before = time_point{std::chrono::hours{24 * 365 * 40}};
  r.not_after = r.not_before + std::chrono::hours{24};
  const auto files = home.files("old", r);
  refused_by_server(careless(false, &files).get(),
                    "has expired (urn:cpns:gw:old, valid until 2009-12-23 00:00:00 UTC)");
}

TEST_F(tls_handshake, a_client_from_the_future_is_refused) {
  auto r = request_for(certificate_usage::client, "urn:cpns:gw:new");
  r.not_before = now_wall() + std::chrono::hours{2};
  const auto files = home.files("new", r);
  refused_by_server(careless(false, &files).get(), "not valid yet (urn:cpns:gw:new, valid from ");
}

TEST_F(tls_handshake, a_server_certificate_is_refused_of_a_client) {
  const auto bad = careless(false, &home.server);
  refused_by_server(bad.get(), "another purpose");
}

TEST_F(tls_handshake, a_client_certificate_is_refused_of_a_server) {
  refused_by_client(careless(true, &home.client).get(), "another purpose");
}

TEST_F(tls_handshake, a_certificate_without_a_purpose_is_refused) {
  const auto client_files = without_usage(home, home.client);
  refused_by_server(careless(false, &client_files).get(), "another purpose");
  const auto server_files = without_usage(home, home.server);
  refused_by_client(careless(true, &server_files).get(), "another purpose");
  EXPECT_FALSE(make_server_tls(server_files));
}

TEST_F(tls_handshake, tls_1_2_is_refused) {
  const auto bad = careless(false, &home.client);
  SSL_CTX_set_max_proto_version(bad.get(), TLS1_2_VERSION);
  refused_by_server(bad.get(), "does not speak TLS 1.3");
  const auto old_server = careless(true, &home.server);
  SSL_CTX_set_max_proto_version(old_server.get(), TLS1_2_VERSION);
  refused_by_client(old_server.get(), "does not speak TLS 1.3");
}

TEST_F(tls_handshake, another_alpn_is_refused) {
  for (const std::string_view wrong : {"\x06"
                                       "cpns/2",
                                       "\x05"
                                       "cpns/",
                                       "\x02"
                                       "h2"}) {
    const auto bad = careless(false, &home.client);
    ASSERT_EQ(SSL_CTX_set_alpn_protos(bad.get(), as_bytes(wrong).data(), static_cast<unsigned>(wrong.size())),
              0);
    refused_by_server(bad.get(), "does not offer ALPN cpns/1.1 or cpns/1");
  }
}

TEST_F(tls_handshake, both_versions_of_the_server_link_are_spoken_and_the_newer_one_is_preferred) {
  const auto agreed = [](SSL_CTX* client_side, SSL_CTX* server_side) {
    const tls_pair pair{client_side, server_side};
    EXPECT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << pair.server_why;
    EXPECT_TRUE(check_alpn(pair.client.get()) && check_alpn(pair.server.get()));
    EXPECT_EQ(agreed_alpn(pair.client.get()), agreed_alpn(pair.server.get()));
    return agreed_alpn(pair.server.get());
  };
  EXPECT_EQ(agreed(client.get(), server.get()), "cpns/1.1");
  EXPECT_EQ(agreed(careless(false, &home.client).get(), server.get()), "cpns/1") << "an old gateway";
  const auto old_server = make_server_tls(home.server).value();
  SSL_CTX_set_alpn_select_cb(
      old_server.get(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size,
         void*) {
        static const auto only = as_bytes("\x06"
                                          "cpns/1");
        unsigned char* chosen = nullptr;
        const int found = SSL_select_next_proto(&chosen, size, only.data(), 7, in, in_size);
        *out = chosen;
        return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
      },
      nullptr);
  EXPECT_EQ(agreed(client.get(), old_server.get()), "cpns/1") << "an old server";
}

TEST_F(tls_handshake, a_peer_without_alpn_passes_the_handshake_but_not_the_check_after_it) {
  const auto bad = careless(false, &home.client);
  ASSERT_EQ(SSL_CTX_set_alpn_protos(bad.get(), nullptr, 0), 0);
  const tls_pair pair{bad.get(), server.get()};
  ASSERT_TRUE(pair.server_ok) << pair.server_why;
  const auto checked = check_alpn(pair.server.get());
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, errc::peer_policy);
  EXPECT_THAT(checked.error().detail, HasSubstr("no ALPN"));
}

TEST_F(tls_handshake, a_server_of_another_ca_is_refused) {
  const auto other = make_ca("foreign CA", 2).value();
  const auto files =
      home.files("foreign", request_for(certificate_usage::server, "urn:cpns:server:one"), &other);
  refused_by_client(careless(true, &files).get(), "unknown CA");
}

TEST_F(tls_handshake, a_refused_client_learns_it_at_its_first_read) {
  const auto other = make_ca("foreign CA", 2).value();
  (void)home.write("other.crt", other.certificate_pem, 0644);
  auto files = home.server;
  files.ca = home.folder() + "/other.crt";
  const auto strict = must(make_server_tls(files));
  const tls_pair pair{client.get(), strict.get()};
  EXPECT_FALSE(pair.client_ok);
  EXPECT_THAT(pair.client_why, HasSubstr("does not know the CA"));
}

TEST_F(tls_handshake, a_peer_must_have_one_name) {
  auto none = request_for(certificate_usage::client, "x"), two = none, odd = none;
  none.uris.clear();
  two.uris = {"urn:cpns:gw:a", "urn:cpns:gw:b"};
  odd.uris = {"urn:cpns:gw:" + std::string(250, 'a')};
  for (const auto& r : {none, two, odd}) {
    const auto files = home.files("named", r);
    const auto named = must(make_client_tls(files));
    const tls_pair pair{named.get(), server.get()};
    ASSERT_TRUE(pair.server_ok) << pair.server_why;
    const auto uri = peer_uri(pair.server.get());
    ASSERT_FALSE(uri);
    EXPECT_EQ(uri.error().code, errc::peer_identity);
  }
}

TEST_F(tls_handshake, a_peer_that_does_not_speak_tls_is_reported) {
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(server.get()), SSL_free};
  BIO* in = BIO_new(BIO_s_mem());
  BIO_puts(in, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  SSL_set_bio(ssl.get(), in, BIO_new(BIO_s_mem()));
  ERR_clear_error();
  EXPECT_NE(SSL_accept(ssl.get()), 1);
  EXPECT_THAT(tls_refusal(ssl.get()), HasSubstr("does not speak TLS"));
  EXPECT_EQ(ERR_peek_error(), 0u);
}

TEST_F(tls_handshake, a_refusal_is_explained_from_the_code_of_asio) {
  EXPECT_THAT(tls_refusal(nullptr, ERR_PACK(ERR_LIB_SSL, 0, SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)),
              HasSubstr("sent no certificate"));
  EXPECT_THAT(tls_refusal(nullptr, ERR_PACK(ERR_LIB_SSL, 0, SSL_R_CERTIFICATE_VERIFY_FAILED)),
              HasSubstr("does not verify"));
  EXPECT_THAT(tls_refusal(nullptr), HasSubstr("closed the connection"));
}

struct api_handshake : tls_handshake {
  tls_files door;
  tls_context listener, admin;
  api_handshake() {
    auto r = request_for(certificate_usage::server, "urn:cpns:server:one");
    r.dns = {"cpns.example.org", "*.example.net"};
    r.ips = {"127.0.0.1", "::1"};
    door = home.files("door", r);
    listener = must(tls_source::for_api("server", door).value()->context());
    admin = must(make_api_client_tls(
        home.files("anna", request_for(certificate_usage::client, "urn:cpns:admin:anna"))));
  }
  /// The error of the client that knows the server by this host; empty: none.
  std::string error_for(const std::string& host) const {
    tls_pair pair{admin.get(), listener.get(), host};
    return pair.client_ok && pair.server_ok ? std::string{} : pair.client_why;
  }
};

TEST_F(api_handshake, checks_the_host_by_the_certificate) {
  for (const auto* good : {"cpns.example.org", "CPNS.example.org", "a.example.net", "127.0.0.1", "::1"})
    EXPECT_EQ(error_for(good), "") << good;
  for (const auto* bad : {"example.org", "a.b.example.net", "127.0.0.2", "test"})
    EXPECT_THAT(error_for(bad), HasSubstr("the peer's certificate is for another host")) << bad;
}

TEST_F(api_handshake, shows_the_hosts_of_the_own_certificate) {
  const tls_pair pair{admin.get(), listener.get()};
  EXPECT_THAT(own_hosts(pair.server.get()), testing::ElementsAre("cpns.example.org", "127.0.0.1", "::1"));
  EXPECT_EQ(peer_uri(pair.server.get()).value(), "urn:cpns:admin:anna");
}

TEST_F(api_handshake, is_not_mixed_up_with_the_server_link) {
  EXPECT_THAT((tls_pair{client.get(), listener.get()}.server_why), HasSubstr("does not offer ALPN http/1.1"));
  EXPECT_THAT((tls_pair{admin.get(), server.get()}.server_why), HasSubstr("does not offer ALPN cpns/1"));
  EXPECT_THAT((tls_pair{admin.get(), server.get()}.client_why), HasSubstr("does not speak ALPN http/1.1"));
}

}  // namespace
}  // namespace cpns::crypto
