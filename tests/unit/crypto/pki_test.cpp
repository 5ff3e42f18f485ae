#include "crypto/pki.hpp"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>

#include "crypto_test.hpp"
#include "csr.hpp"

namespace cpns::crypto {
namespace {

using x509 = std::unique_ptr<X509, decltype(&X509_free)>;

x509 parsed(std::string_view pem) {
  const bio in{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all};
  return {PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), X509_free};
}
x509 parsed(const identity& id) { return parsed(id.certificate_pem); }

certificate_request gateway_request() {
  certificate_request r;
  r.common_name = "hall";
  r.uris = {"urn:cpns:gw:hall"};
  r.dns = {"localhost"};
  r.ips = {"127.0.0.1", "::1"};
  r.not_before = now_wall();
  r.not_after = r.not_before + std::chrono::hours{24};
  return r;
}

std::string serial_of(const X509* c) {
  const ASN1_INTEGER* n = X509_get0_serialNumber(c);
  return to_hex({ASN1_STRING_get0_data(n), static_cast<std::size_t>(ASN1_STRING_length(n))});
}

TEST(pki, a_ca_signs_a_certificate_that_verifies_for_its_purpose_alone) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  const auto leaf = issue(*ca, gateway_request());
  ASSERT_TRUE(leaf) << leaf.error().message();
  const auto root = parsed(*ca), c = parsed(*leaf);
  ASSERT_TRUE(root && c);
  EXPECT_EQ(X509_check_ca(root.get()), 1);
  EXPECT_EQ(X509_check_ca(c.get()), 0);
  EXPECT_EQ(X509_get_pathlen(root.get()), 0);
  EXPECT_EQ(X509_check_issued(root.get(), c.get()), X509_V_OK);
  EXPECT_EQ(X509_verify(c.get(), X509_get0_pubkey(root.get())), 1);
  EXPECT_EQ(X509_check_purpose(c.get(), X509_PURPOSE_SSL_CLIENT, 0), 1);
  EXPECT_EQ(X509_check_purpose(c.get(), X509_PURPOSE_SSL_SERVER, 0), 0);
  EXPECT_EQ(X509_get_key_usage(c.get()), std::uint32_t{KU_DIGITAL_SIGNATURE});
  const int constraints = X509_get_ext_by_NID(c.get(), NID_basic_constraints, -1);
  ASSERT_GE(constraints, 0);
  EXPECT_EQ(X509_EXTENSION_get_critical(X509_get_ext(c.get(), constraints)), 1);
  EXPECT_EQ(X509_check_host(c.get(), "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(c.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(c.get(), "::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(c.get(), "127.0.0.2", 0), 0);
}

TEST(pki, serials_are_random_and_long) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  const auto a = issue(*ca, gateway_request()), b = issue(*ca, gateway_request());
  ASSERT_TRUE(a && b);
  const auto first_serial = serial_of(parsed(*a).get()), second_serial = serial_of(parsed(*b).get());
  EXPECT_NE(first_serial, second_serial);
  EXPECT_GE(first_serial.size(), 24u);
  EXPECT_NE(a->key_pem, b->key_pem);
}

TEST(pki, an_expired_certificate_can_be_issued) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  auto r = gateway_request();
  r.not_before -= std::chrono::hours{48};
  r.not_after = r.not_before + std::chrono::hours{1};
  const auto leaf = issue(*ca, r);
  ASSERT_TRUE(leaf);
  EXPECT_LT(X509_cmp_current_time(X509_get0_notAfter(parsed(*leaf).get())), 0);
}

TEST(pki, invalid_requests_are_refused) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  const auto refused = [&](auto change) {
    auto r = gateway_request();
    change(r);
    const auto out = issue(*ca, r);
    return !out && out.error().code == errc::crypto_certificate;
  };
  EXPECT_TRUE(refused([](auto& r) { r.common_name = ""; }));
  EXPECT_TRUE(refused([](auto& r) { r.common_name = std::string(65, 'a'); }));
  EXPECT_TRUE(refused([](auto& r) { r.not_after = r.not_before; }));
  EXPECT_TRUE(refused([](auto& r) { r.uris = {"urn:cpns:gw:two words"}; }));
  EXPECT_TRUE(refused([](auto& r) { r.uris = {""}; }));
  EXPECT_TRUE(refused([](auto& r) { r.dns = {"m\xc3\xbcll"}; }));
  EXPECT_TRUE(refused([](auto& r) { r.ips = {"127.0.0.256"}; }));
  EXPECT_FALSE(make_ca("development CA", 0));
  EXPECT_FALSE(make_ca("", 1));
  EXPECT_FALSE(make_ca("\xff", 1));
}

TEST(pki, text_in_a_request_is_not_parsed_as_extension_syntax) {
  const auto ca = make_ca("CA,CN=other", 30);
  ASSERT_TRUE(ca);
  auto r = gateway_request();
  r.uris = {"urn:cpns:gw:a,URI:urn:cpns:gw:b"};
  const auto leaf = issue(*ca, r);
  ASSERT_TRUE(leaf);
  std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names{
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(parsed(*leaf).get(), NID_subject_alt_name, nullptr, nullptr)),
      GENERAL_NAMES_free};
  EXPECT_EQ(sk_GENERAL_NAME_num(names.get()), 4);
}

TEST(pki, an_end_certificate_or_a_foreign_key_cannot_issue) {
  const auto ca = make_ca("development CA", 30), other = make_ca("other CA", 30);
  ASSERT_TRUE(ca && other);
  const auto leaf = issue(*ca, gateway_request());
  ASSERT_TRUE(leaf);
  EXPECT_FALSE(issue(*leaf, gateway_request()));
  EXPECT_FALSE(issue({ca->certificate_pem, other->key_pem}, gateway_request()));
  EXPECT_FALSE(issue({"no PEM", ca->key_pem}, gateway_request()));
  EXPECT_FALSE(issue({ca->certificate_pem, {}}, gateway_request()));
}

TEST(pki, a_csr_gives_its_public_key_alone) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  for (const auto& key :
       {new_key(EVP_EC_gen("P-256")), new_key(EVP_EC_gen("P-384")), new_key(EVP_EC_gen("P-521")),
        new_key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")), new_key(EVP_RSA_gen(2048))}) {
    const auto leaf = issue_for_key(*ca, gateway_request(), csr_for(key));
    ASSERT_TRUE(leaf) << leaf.error().message();
    const auto c = parsed(*leaf);
    ASSERT_TRUE(c);
    EXPECT_EQ(X509_check_private_key(c.get(), key.get()), 1);
    EXPECT_EQ(X509_verify(c.get(), X509_get0_pubkey(parsed(*ca).get())), 1);
    EXPECT_EQ(X509_check_ca(c.get()), 0) << "its extensions are ignored";
    EXPECT_EQ(X509_check_host(c.get(), "other", 0, 0, nullptr), 0);
    EXPECT_EQ(X509_check_host(c.get(), "localhost", 0, 0, nullptr), 1);
    std::array<char, 80> name{};
    X509_NAME_oneline(X509_get_subject_name(c.get()), name.data(), static_cast<int>(name.size()));
    EXPECT_STREQ(name.data(), "/CN=hall");
  }
}

TEST(pki, a_csr_must_be_signed_with_its_own_key) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  const auto key = new_key(EVP_EC_gen("P-256")), other = new_key(EVP_EC_gen("P-256"));
  const auto leaf = issue_for_key(*ca, gateway_request(), csr_for(key.get(), other.get()));
  ASSERT_FALSE(leaf);
  EXPECT_EQ(leaf.error().code, errc::crypto_certificate);
  EXPECT_NE(leaf.error().detail.find("does not verify"), std::string::npos) << leaf.error().detail;
  for (const auto& text : {std::string{}, std::string{"no PEM"}, ca->certificate_pem})
    EXPECT_FALSE(issue_for_key(*ca, gateway_request(), text));
}

TEST(pki, a_csr_with_a_key_that_tls_refuses_is_refused) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  for (const auto& key : {new_key(EVP_RSA_gen(1024)), new_key(EVP_EC_gen("P-224")),
                          new_key(EVP_EC_gen("secp256k1")), explicit_p256()}) {
    const auto leaf = issue_for_key(*ca, gateway_request(), csr_for(key));
    ASSERT_FALSE(leaf) << EVP_PKEY_get_bits(key.get());
    EXPECT_EQ(leaf.error().code, errc::crypto_weak) << leaf.error().message();
  }
}

TEST(pki, a_csr_with_an_rsa_key_that_every_peer_can_use_is_refused) {
  const auto ca = make_ca("development CA", 30);
  ASSERT_TRUE(ca);
  const auto leaf = issue_for_key(*ca, gateway_request(), csr_for(rsa_with_exponent_one()));
  ASSERT_FALSE(leaf);
  EXPECT_NE(leaf.error().detail.find("is not valid"), std::string::npos) << leaf.error().detail;
}

TEST(pki, the_dates_of_a_ca_are_those_of_its_certificate) {
  const auto now = time_point{std::chrono::days{20'000}};
  const auto ca = make_ca("development CA", 30, now), other = make_ca("other CA", 30);
  ASSERT_TRUE(ca && other);
  const auto dates = validity_of_ca(*ca);
  ASSERT_TRUE(dates);
  EXPECT_EQ(dates->from, now - std::chrono::hours{1});
  EXPECT_EQ(dates->to, now + std::chrono::days{30});
  EXPECT_FALSE(validity_of_ca({ca->certificate_pem, other->key_pem}));
  EXPECT_FALSE(validity_of_ca(issue(*ca, gateway_request()).value()));
}

}  // namespace
}  // namespace cpns::crypto
