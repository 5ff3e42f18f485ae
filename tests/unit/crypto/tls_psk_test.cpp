// Step 0 by pre-shared key, with OpenSSL at both ends.

#include "crypto/tls_psk.hpp"

#include <gmock/gmock.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <algorithm>

#include "crypto/suite.hpp"
#include "crypto/tls_source.hpp"
#include "crypto_test.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using testing::HasSubstr;

constexpr const char* hall = "urn:cpns:psk:hall";
constexpr std::uint64_t number_of_hall = 7;

struct tls_psk : testing::Test {
  tls_home home;
  psk_key key = psk_key::draw(system_entropy());
  int asked = 0;
  tls_context server = server_with_keys();

  static tls_context must(result<tls_context> made) {
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(*made) : nullptr;
  }
  tls_context server_with_keys() {
    auto made = must(make_server_tls(home.server));
    EXPECT_TRUE(accept_psk(made.get(), std::make_shared<const psk_lookup>(
                                           [this](std::string_view who) -> std::optional<psk_entry> {
                                             ++asked;
                                             if (who != hall) return std::nullopt;
                                             return psk_entry{key, number_of_hall};
                                           })));
    return made;
  }
  [[nodiscard]] tls_context client_of(std::string_view identity, const psk_key& k) const {
    return must(make_psk_client_tls(identity, k));
  }
  [[nodiscard]] tls_context good_client() const { return client_of(hall, key); }
  /// Expects both ends to refuse: the client for `client_why`, the server for `server_why`.
  void refused(SSL_CTX* client, const std::string& client_why, const std::string& server_why) const {
    const tls_pair pair{client, server.get()};
    EXPECT_FALSE(pair.server_ok);
    EXPECT_FALSE(pair.client_ok);
    EXPECT_FALSE(psk_of(pair.server.get()));
    EXPECT_FALSE(psk_of(pair.client.get()));
    EXPECT_THAT(pair.client_why, HasSubstr(client_why));
    EXPECT_THAT(pair.server_why, HasSubstr(server_why));
  }
};

/// What a client without a policy offers: an external key with whatever is set in it.
struct free_offer {
  const char* identity = hall;
  bytes key;
};
int offer_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
int offer(SSL* ssl, const EVP_MD*, const unsigned char** identity, std::size_t* size, SSL_SESSION** out) {
  const auto* o = static_cast<const free_offer*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), offer_index()));
  const unsigned char suite[] = {0x13, 0x01};
  SSL_SESSION* s = SSL_SESSION_new();
  EXPECT_EQ(SSL_SESSION_set1_master_key(s, o->key.data(), o->key.size()), 1);
  EXPECT_EQ(SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, suite)), 1);
  EXPECT_EQ(SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION), 1);
  *identity = reinterpret_cast<const unsigned char*>(o->identity);
  *size = std::char_traits<char>::length(o->identity);
  *out = s;
  return 1;
}
/// A careless client that offers `o`, which outlives it, and `files` if not null.
tls_context offering(free_offer& o, const tls_files* files = nullptr) {
  auto made = careless(false, files);
  EXPECT_EQ(SSL_CTX_set_ciphersuites(made.get(), "TLS_AES_128_GCM_SHA256"), 1);
  EXPECT_EQ(SSL_CTX_set_ex_data(made.get(), offer_index(), &o), 1);
  SSL_CTX_set_psk_use_session_callback(made.get(), offer);
  return made;
}

TEST_F(tls_psk, connects_and_each_side_knows_the_identity) {
  const auto client = good_client();
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
  const auto at_server = psk_of(pair.server.get());
  ASSERT_TRUE(at_server);
  EXPECT_EQ(at_server->identity, hall);
  EXPECT_EQ(at_server->number, number_of_hall);
  EXPECT_TRUE(expect_psk(pair.client.get(), hall));
  EXPECT_FALSE(expect_psk(pair.client.get(), "urn:cpns:psk:cellar"));
  EXPECT_TRUE(check_alpn(pair.server.get()));
  EXPECT_TRUE(check_alpn(pair.client.get()));
  EXPECT_EQ(tls_exporter(pair.client.get()).value(), tls_exporter(pair.server.get()).value());
  EXPECT_STREQ(SSL_get_version(pair.server.get()), "TLSv1.3");
  // An ephemeral exchange besides the key, so that a key that is stolen later opens no recorded connection.
  EXPECT_NE(SSL_get_negotiated_group(pair.server.get()), 0);
  EXPECT_EQ(peer_serial(pair.server.get()), "");
  EXPECT_FALSE(has_own_uri(pair.server.get()));
  EXPECT_FALSE(peer_uri(pair.server.get()));
  EXPECT_FALSE(expect_uri(pair.client.get(), "urn:cpns:server:one"));
}

TEST_F(tls_psk, connects_with_a_key_of_64_bytes) {
  key = psk_key::from(secret_bytes{bytes(64, 0xab)}).value();
  const auto client = good_client();
  const tls_pair pair{client.get(), server.get()};
  EXPECT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
  EXPECT_TRUE(psk_of(pair.server.get()));
}

TEST_F(tls_psk, connects_after_a_hello_retry_request) {
  ASSERT_EQ(SSL_CTX_set1_groups_list(server.get(), "P-384"), 1);
  const auto client = good_client();
  ASSERT_EQ(SSL_CTX_set1_groups_list(client.get(), "X25519:P-384"), 1);
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(psk_of(pair.server.get()).value().identity, hall);
}

TEST_F(tls_psk, makes_another_exporter_for_each_connection) {
  const auto client = good_client();
  const tls_pair a{client.get(), server.get()}, b{client.get(), server.get()};
  EXPECT_NE(tls_exporter(a.client.get()).value(), tls_exporter(b.client.get()).value());
}

TEST_F(tls_psk, refuses_a_wrong_key) {
  refused(client_of(hall, psk_key::draw(system_entropy())).get(), "refused the pre-shared key",
          "does not have the pre-shared key (urn:cpns:psk:hall: its key is another one)");
}

TEST_F(tls_psk, refuses_an_identity_without_a_key) {
  refused(client_of("urn:cpns:psk:cellar", key).get(), "refused the pre-shared key",
          "does not have the pre-shared key (urn:cpns:psk:cellar: no key is known of it)");
}

TEST_F(tls_psk, shows_a_stranger_no_difference_between_a_wrong_key_and_an_unknown_identity) {
  const auto answer_to = [this](const char* identity) {
    free_offer o{identity, bytes(32, 0x11)};
    const auto client = offering(o);
    const std::unique_ptr<SSL, decltype(&SSL_free)> near{SSL_new(client.get()), SSL_free},
        far{SSL_new(server.get()), SSL_free};
    for (SSL* one : {near.get(), far.get()}) SSL_set_bio(one, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(near.get());
    SSL_set_accept_state(far.get());
    EXPECT_NE(SSL_do_handshake(near.get()), 1);
    char* hello = nullptr;
    const auto size = BIO_get_mem_data(SSL_get_wbio(near.get()), &hello);
    EXPECT_EQ(BIO_write(SSL_get_rbio(far.get()), hello, static_cast<int>(size)), size);
    EXPECT_NE(SSL_do_handshake(far.get()), 1);
    char* answer = nullptr;
    const auto answered = BIO_get_mem_data(SSL_get_wbio(far.get()), &answer);
    return std::string{answer, static_cast<std::size_t>(answered)};
  };
  const auto wrong = answer_to(hall), unknown = answer_to("urn:cpns:psk:nobody");
  // One alert in clear, fatal, illegal_parameter.
  EXPECT_EQ(to_hex(as_bytes(wrong)), "15030300020"
                                     "22f");
  EXPECT_EQ(wrong, unknown);
}

TEST_F(tls_psk, lets_clients_with_certificates_in_on_the_same_context) {
  const auto client = must(make_client_tls(home.client));
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
  EXPECT_EQ(peer_uri(pair.server.get()).value(), "urn:cpns:gw:hall");
  EXPECT_FALSE(psk_of(pair.server.get()));
  EXPECT_FALSE(psk_of(pair.client.get()));
  EXPECT_FALSE(expect_psk(pair.client.get(), hall));
  EXPECT_EQ(asked, 0);
}

TEST_F(tls_psk, still_refuses_clients_with_neither) {
  const auto none = careless(false, nullptr);
  refused(none.get(), "requires a certificate", "sent no certificate");
}

TEST_F(tls_psk, refuses_a_server_that_answers_with_a_certificate) {
  server = must(make_server_tls(home.server));
  refused(good_client().get(), "answered with a certificate instead of the pre-shared key", "alert");
}

TEST_F(tls_psk, goes_on_with_certificates_if_the_offer_is_not_an_identity) {
  free_offer ticket{"a ticket of another server", bytes(32, 1)};
  const auto client = offering(ticket, &home.client);
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
  EXPECT_EQ(peer_uri(pair.server.get()).value(), "urn:cpns:gw:hall");
  EXPECT_EQ(asked, 0);
}

TEST_F(tls_psk, refuses_tls_1_2) {
  const auto client = careless(false, nullptr);
  SSL_CTX_set_max_proto_version(client.get(), TLS1_2_VERSION);
  SSL_CTX_set_psk_client_callback(
      client.get(), [](SSL*, const char*, char* identity, unsigned, unsigned char* k, unsigned) {
        std::char_traits<char>::copy(identity, hall, std::char_traits<char>::length(hall) + 1);
        std::fill_n(k, 32, std::uint8_t{1});
        return 32u;
      });
  refused(client.get(), "does not speak TLS 1.3", "does not speak TLS 1.3");
  EXPECT_EQ(asked, 0);
}

/// Changes the list of modes in psk_key_exchange_modes to psk_ke alone, in a ClientHello that the server is about to read.
std::string without_dhe(std::string hello) {
  const std::string modes{"\x00\x2d\x00\x02\x01\x01", 6};
  const auto at = hello.find(modes);
  EXPECT_NE(at, std::string::npos);
  hello[at + 5] = '\x00';
  return hello;
}

TEST_F(tls_psk, does_not_take_a_key_without_an_ephemeral_exchange) {
  free_offer o{hall, to_bytes(key.expose())};
  const auto client = offering(o);
  const std::unique_ptr<SSL, decltype(&SSL_free)> near{SSL_new(client.get()), SSL_free},
      far{SSL_new(server.get()), SSL_free};
  for (SSL* one : {near.get(), far.get()}) SSL_set_bio(one, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(near.get());
  SSL_set_accept_state(far.get());
  EXPECT_NE(SSL_do_handshake(near.get()), 1);
  char* sent = nullptr;
  const auto size = BIO_get_mem_data(SSL_get_wbio(near.get()), &sent);
  const auto hello = without_dhe({sent, static_cast<std::size_t>(size)});
  EXPECT_EQ(BIO_write(SSL_get_rbio(far.get()), hello.data(), static_cast<int>(hello.size())),
            static_cast<int>(hello.size()));
  // The server does not look at the key: it answers with its certificate and asks for one.
  EXPECT_NE(SSL_do_handshake(far.get()), 1);
  EXPECT_EQ(asked, 0);
  EXPECT_EQ(SSL_session_reused(far.get()), 0);
  EXPECT_FALSE(psk_of(far.get()));
}

TEST_F(tls_psk, issues_no_tickets_and_takes_none) {
  const auto client = good_client();
  SSL_CTX_set_session_cache_mode(client.get(), SSL_SESS_CACHE_CLIENT);
  static int tickets;
  tickets = 0;
  SSL_CTX_sess_set_new_cb(client.get(), [](SSL*, SSL_SESSION*) { return ++tickets, 0; });
  const tls_pair pair{client.get(), server.get()};
  ASSERT_TRUE(pair.client_ok && pair.server_ok);
  std::array<char, 1> byte{};
  EXPECT_LT(SSL_read(pair.client.get(), byte.data(), 1), 0);
  EXPECT_EQ(tickets, 0);
  EXPECT_EQ(SSL_get_num_tickets(pair.server.get()), 0u);
}

TEST_F(tls_psk, is_not_proven_by_a_session_that_was_resumed_in_earnest) {
  // A server without this policy that issues tickets, and takes them again.
  const auto loose = careless(true, &home.server);
  const auto client = careless(false, &home.client);
  SSL_CTX_set_session_cache_mode(client.get(), SSL_SESS_CACHE_CLIENT);
  static SSL_SESSION* kept;
  kept = nullptr;
  SSL_CTX_sess_set_new_cb(client.get(), [](SSL*, SSL_SESSION* s) {
    if (kept != nullptr) return 0;
    kept = s;
    return 1;
  });
  const tls_pair first{client.get(), loose.get()};
  ASSERT_TRUE(first.client_ok && first.server_ok);
  ASSERT_NE(kept, nullptr);
  const std::unique_ptr<SSL, decltype(&SSL_free)> near{SSL_new(client.get()), SSL_free},
      far{SSL_new(loose.get()), SSL_free};
  ASSERT_EQ(SSL_set_session(near.get(), kept), 1);
  SSL_SESSION_free(kept);
  BIO *a = nullptr, *b = nullptr;
  ASSERT_EQ(BIO_new_bio_pair(&a, 1 << 16, &b, 1 << 16), 1);
  SSL_set_bio(near.get(), a, a);
  SSL_set_bio(far.get(), b, b);
  SSL_set_connect_state(near.get());
  SSL_set_accept_state(far.get());
  for (int turn = 0; turn < 10; ++turn) {
    (void)SSL_do_handshake(near.get());
    (void)SSL_do_handshake(far.get());
  }
  ASSERT_EQ(SSL_session_reused(near.get()), 1);
  ASSERT_EQ(SSL_session_reused(far.get()), 1);
  EXPECT_FALSE(psk_of(near.get()));
  EXPECT_FALSE(psk_of(far.get()));
  EXPECT_FALSE(expect_psk(near.get(), hall));
  EXPECT_FALSE(peer_uri(near.get()));
}

TEST_F(tls_psk, is_counted_apart_from_other_faults) {
  const auto client = client_of(hall, psk_key::draw(system_entropy()));
  const std::unique_ptr<SSL, decltype(&SSL_free)> far{SSL_new(server.get()), SSL_free};
  EXPECT_EQ(fault_of(far.get(), ERR_PACK(ERR_LIB_SSL, 0, SSL_R_BINDER_DOES_NOT_VERIFY)),
            handshake_fault::psk);
}

TEST_F(tls_psk, is_still_taken_after_the_server_read_its_files_again) {
  const auto source = tls_source::for_server("server", home.server).value();
  ASSERT_TRUE(source->accept_psk([this](std::string_view who) -> std::optional<psk_entry> {
    if (who != hall) return std::nullopt;
    return psk_entry{key, 1};
  }));
  const auto client = good_client();
  for (int n = 0; n < 2; ++n) {
    const auto context = must(source->context());
    const tls_pair pair{client.get(), context.get()};
    EXPECT_TRUE(pair.client_ok && pair.server_ok) << pair.client_why << " / " << pair.server_why;
    source->read_again();
  }
}

struct psk_file : testing::Test {
  tls_home home;
  psk_key key = psk_key::draw(system_entropy());
  std::string digits{as_text(key.text().expose())};
};

TEST_F(psk_file, is_read_with_and_without_a_line_end) {
  EXPECT_EQ(digits.size(), 64u);
  EXPECT_EQ(psk_key::read(home.write("a.psk", digits + "\n", 0600)).value(), key);
  EXPECT_EQ(psk_key::read(home.write("b.psk", digits, 0600)).value(), key);
}

TEST_F(psk_file, is_refused_if_it_is_not_strict) {
  const auto refused = [this](const std::string& text, errc code, const std::string& why) {
    const auto read = psk_key::read(home.write("x.psk", text, 0600));
    ASSERT_FALSE(read) << text.size();
    EXPECT_EQ(read.error().code, code) << text.size();
    EXPECT_THAT(read.error().detail, HasSubstr(why));
    EXPECT_THAT(read.error().detail, HasSubstr("x.psk"));
    EXPECT_THAT(read.error().detail, testing::Not(HasSubstr(digits.substr(0, 8))));
  };
  refused("", errc::crypto_weak, "not 0");
  refused(digits.substr(2), errc::crypto_weak, "not 31");
  refused(digits + digits + "ab", errc::config_range, "");
  refused(digits + "a", errc::config_range, "even number");
  refused(digits + "\n\n", errc::config_range, "even number");
  refused(digits + "\r\n", errc::config_range, "even number");
  refused(" " + digits + " ", errc::config_range, "even number");
  refused("0x" + digits, errc::config_range, "even number");
  refused(std::string(64, 'A'), errc::config_range, "lower-case");
}

TEST_F(psk_file, is_refused_if_others_may_read_it) {
  const auto read = psk_key::read(home.write("x.psk", digits, 0644));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, errc::config_file);
}

TEST_F(psk_file, is_read_again_for_each_connection) {
  const auto path = home.write("x.psk", digits, 0600);
  const auto source = psk_source::open("gateway", hall, path).value();
  auto accepted = key;
  auto server = make_server_tls(home.server).value();
  ASSERT_TRUE(accept_psk(server.get(), std::make_shared<const psk_lookup>([&](std::string_view) {
                           return std::optional{psk_entry{accepted, 1}};
                         })));
  const auto connects = [&] {
    const auto context = source->context().value();
    const tls_pair pair{context.get(), server.get()};
    return pair.client_ok && pair.server_ok;
  };
  EXPECT_TRUE(connects());
  accepted = psk_key::draw(system_entropy());
  EXPECT_FALSE(connects());
  (void)home.write("x.psk", as_text(accepted.text().expose()), 0600);
  EXPECT_TRUE(connects());
  (void)home.write("x.psk", "damaged", 0600);
  EXPECT_TRUE(connects());
}

TEST(psk_identity, has_a_strict_grammar) {
  for (const auto* good : {"urn:cpns:psk:a", "urn:cpns:psk:Hall-2.upper_floor"})
    EXPECT_TRUE(is_psk_identity(good)) << good;
  EXPECT_TRUE(is_psk_identity("urn:cpns:psk:" + std::string(64, 'x')));
  for (const auto* bad : {"", "urn:cpns:psk:", "urn:cpns:gw:hall", "urn:cpns:psk:a b", "urn:cpns:psk:a:b",
                          "URN:cpns:psk:a", "urn:cpns:psk:a\n", "urn:cpns:psk:\xc3\xa4"})
    EXPECT_FALSE(is_psk_identity(bad)) << bad;
  EXPECT_FALSE(is_psk_identity("urn:cpns:psk:" + std::string(65, 'x')));
  EXPECT_FALSE(is_psk_identity(std::string_view{"urn:cpns:psk:a\0b", 16}));
}

TEST(psk_identity, of_a_gateway_is_checked_before_its_file) {
  const auto opened = psk_source::open("gateway", "urn:cpns:gw:hall", "/nonexistent");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, errc::config_range);
}

}  // namespace
}  // namespace cpns::crypto
