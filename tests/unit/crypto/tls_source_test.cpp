// The files of a role that runs longer than its certificate is valid, and whose clock may be wrong.
#include "crypto/tls_source.hpp"

#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <fstream>
#include <sstream>

#include "crypto_test.hpp"
#include "csr.hpp"
#include "tests/unit/server/captured_log.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using server_tests::captured_log;
using std::chrono::hours;
using testing::HasSubstr;

struct long_lived_tls_files : testing::Test {
  captured_log log;
  tls_home home;
  time_point wall = now_wall(), timer{seconds{1000}};

  result<std::shared_ptr<tls_source>> server(const tls_files& files) {
    return tls_source::for_server(
        "server", files, [this] { return wall; }, [this] { return timer; });
  }
  result<std::shared_ptr<tls_source>> client(const tls_files& files) {
    return tls_source::for_client(
        "gateway", files, [this] { return wall; }, [this] { return timer; });
  }
  /// Writes a new certificate to the same files.
  tls_files renew(const std::string& uri = "urn:cpns:gw:hall") {
    return home.files("renewed", request_for(certificate_usage::client, uri));
  }
  static std::string serial(tls_source& s) {
    const auto made = s.context();
    if (!made) return made.error().message();
    const auto* number = X509_get0_serialNumber(SSL_CTX_get0_certificate(made->get()));
    return to_hex({ASN1_STRING_get0_data(number), static_cast<std::size_t>(ASN1_STRING_length(number))});
  }
  std::size_t logged(std::string_view what) const {
    const auto text = log.text();
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  }
};

TEST_F(long_lived_tls_files, are_usable_when_a_clock_in_the_past_is_corrected) {
  const auto right = wall;
  wall = time_point{seconds{30}};
  const auto made = server(home.server);
  ASSERT_TRUE(made) << made.error().message();
  const auto none = (*made)->context();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, errc::crypto_certificate);
  EXPECT_THAT(none.error().detail, HasSubstr("is not valid before"));
  EXPECT_EQ(logged("certificate-out-of-time"), 1u);
  wall = right;
  EXPECT_TRUE((*made)->context()) << "without reading a file again";
  EXPECT_EQ(logged("certificate-in-time"), 1u);
}

TEST_F(long_lived_tls_files, are_not_used_when_expired_which_is_logged_at_a_bounded_rate) {
  const auto made = client(home.client);
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->context());
  wall += hours{48};
  for (int i = 0; i < 30 * 60; ++i, timer += seconds{1}) EXPECT_FALSE((*made)->context());
  EXPECT_EQ(logged("certificate-out-of-time"), 3u) << "half an hour";
}

TEST_F(long_lived_tls_files, are_read_again_within_a_minute_or_on_request) {
  const auto made = client(renew());
  ASSERT_TRUE(made);
  auto& source = **made;
  const auto before = serial(source);
  (void)renew();
  timer += seconds{59};
  EXPECT_EQ(serial(source), before);
  timer += seconds{1};
  const auto second = serial(source);
  EXPECT_NE(second, before);
  (void)renew();
  source.read_again();
  EXPECT_NE(serial(source), second);
  EXPECT_EQ(logged("certificate-read"), 2u);
}

TEST_F(long_lived_tls_files, stay_in_use_while_their_replacement_is_damaged) {
  const auto files = renew();
  const auto made = client(files);
  ASSERT_TRUE(made);
  const auto before = serial(**made);
  (void)home.write("renewed.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n", 0644);
  for (int i = 0; i < 5; ++i) {
    timer += tls_source::reads_every;
    (*made)->look();
  }
  EXPECT_EQ(serial(**made), before);
  EXPECT_EQ(logged("tls-files-refused"), 1u);
  (void)renew();
  timer += tls_source::reads_every;
  EXPECT_NE(serial(**made), before);
}

TEST_F(long_lived_tls_files, cannot_make_a_gateway_another_one) {
  const auto made = client(renew());
  ASSERT_TRUE(made);
  const auto before = serial(**made);
  (void)renew("urn:cpns:gw:kitchen");
  (*made)->read_again();
  EXPECT_EQ(serial(**made), before);
  EXPECT_THAT(log.text(), HasSubstr("names another gateway now; restart to use it"));
}

TEST_F(long_lived_tls_files, that_a_person_has_to_fix_are_an_error_at_once) {
  auto files = home.server;
  files.key = home.client.key;
  EXPECT_FALSE(server(files));
  EXPECT_FALSE(server(home.client)) << "for the other role";
  files = home.server;
  files.ca = home.folder() + "/nowhere";
  EXPECT_FALSE(server(files));
}

/// A certificate that the CA signs again as an intermediate of its own.
std::string signed_by(const identity& ca, const identity& intermediate, time_point end) {
  const auto pem = [](std::string_view text) {
    return bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
  };
  using x509 = std::unique_ptr<X509, decltype(&X509_free)>;
  const x509 root{PEM_read_bio_X509(pem(ca.certificate_pem).get(), nullptr, nullptr, nullptr), X509_free};
  const x509 c{PEM_read_bio_X509(pem(intermediate.certificate_pem).get(), nullptr, nullptr, nullptr),
               X509_free};
  const auto key =
      new_key(PEM_read_bio_PrivateKey(pem(as_text(ca.key_pem.expose())).get(), nullptr, nullptr, nullptr));
  X509_EXTENSION_free(
      X509_delete_ext(c.get(), X509_get_ext_by_NID(c.get(), NID_authority_key_identifier, -1)));
  EXPECT_EQ(X509_set_issuer_name(c.get(), X509_get_subject_name(root.get())), 1);
  EXPECT_NE(ASN1_TIME_set(X509_getm_notAfter(c.get()), unix_seconds(end)), nullptr);
  EXPECT_GT(X509_sign(c.get(), key.get(), EVP_sha256()), 0);
  const bio out{BIO_new(BIO_s_mem()), BIO_free_all};
  EXPECT_EQ(PEM_write_bio_X509(out.get(), c.get()), 1);
  return text_of(out);
}

struct certificates_that_end : long_lived_tls_files {
  using days = std::chrono::days;

  void SetUp() override {
    wall = std::chrono::floor<seconds>(wall);
    own_ca(400);
  }
  void own_ca(unsigned for_days) {
    home.ca = make_ca("test CA", for_days, wall).value();
    (void)home.write("ca.crt", home.ca.certificate_pem, 0644);
  }
  /// Files of a gateway, or the same again, with a certificate that ends after `left`.
  tls_files ending(milliseconds left, const identity* issuer = nullptr) const {
    auto r = request_for(certificate_usage::client, "urn:cpns:gw:hall");
    r.not_before = wall - hours{1};
    r.not_after = wall + left;
    return home.files("ending", r, issuer);
  }
  void pass(milliseconds time) {
    wall += time;
    timer += time;
  }
  std::size_t warnings() const { return logged("\"certificate-ends-soon\""); }
  std::size_t at_level(std::string_view level) const {
    std::istringstream lines{log.text()};
    std::size_t n = 0;
    for (std::string line; std::getline(lines, line);)
      if (line.find("certificate-ends-soon") != std::string::npos &&
          line.find("\"" + std::string{level} + "\"") != std::string::npos)
        ++n;
    return n;
  }
};

TEST_F(certificates_that_end, are_logged_within_thirty_days_and_not_before) {
  const auto files = ending(days{30} + seconds{1});
  const auto made = client(files);
  ASSERT_TRUE(made);
  EXPECT_EQ(warnings(), 0u);
  pass(seconds{1});
  (*made)->look();
  EXPECT_EQ(warnings(), 1u);
  EXPECT_EQ(at_level("warn"), 1u);
  EXPECT_THAT(log.text(), HasSubstr("certificate file " + files.certificate + " ends on "));
  EXPECT_THAT(log.text(), HasSubstr(", in 30 days; issue a new one"));
  EXPECT_THAT(log.text(), HasSubstr("\"days_left\":\"30\""));
  EXPECT_THAT(log.text(), HasSubstr("\"file\":\"" + files.certificate + "\""));
}

TEST_F(certificates_that_end, are_logged_at_the_start_and_then_once_a_day) {
  const auto made = client(ending(days{20}));
  ASSERT_TRUE(made);
  EXPECT_EQ(warnings(), 1u) << "at the start";
  for (int minutes = 1; minutes < 24 * 60; ++minutes) {
    pass(seconds{60});  // the files are read again each time
    (*made)->look();
  }
  EXPECT_EQ(warnings(), 1u);
  pass(seconds{60});
  (*made)->look();
  EXPECT_EQ(warnings(), 2u);
  EXPECT_THAT(log.text(), HasSubstr("in 19 days"));
  EXPECT_TRUE((*made)->context());
  EXPECT_EQ(warnings(), 2u) << "not with each connection";
}

TEST_F(certificates_that_end, are_logged_for_a_role_that_only_connects) {
  const auto made = client(ending(days{31}));
  ASSERT_TRUE(made);
  pass(days{2});
  EXPECT_TRUE((*made)->context());
  EXPECT_EQ(warnings(), 1u);
}

TEST_F(certificates_that_end, are_logged_again_when_an_operator_reads_the_files) {
  const auto made = client(ending(days{20}));
  ASSERT_TRUE(made);
  (*made)->read_again();
  EXPECT_EQ(warnings(), 2u);
}

TEST_F(certificates_that_end, are_an_error_under_three_days) {
  const auto made = client(ending(days{3}));
  ASSERT_TRUE(made);
  EXPECT_EQ(at_level("warn"), 1u);
  EXPECT_EQ(at_level("error"), 0u);
  pass(seconds{1});
  (*made)->look();
  EXPECT_EQ(at_level("error"), 1u) << "at once, not a day after the last line";
  EXPECT_THAT(log.text(), HasSubstr("in 2 days"));
  pass(days{2});
  (*made)->look();
  EXPECT_THAT(log.text(), HasSubstr("in less than a day"));
}

TEST_F(certificates_that_end, are_silent_after_a_renewal) {
  const auto made = client(ending(days{2}));
  ASSERT_TRUE(made);
  EXPECT_EQ(warnings(), 1u);
  (void)ending(days{90});
  pass(tls_source::reads_every);
  (*made)->look();
  pass(days{2});
  (*made)->look();
  EXPECT_EQ(warnings(), 1u);
  (void)ending(days{20});
  pass(tls_source::reads_every);
  (*made)->look();
  EXPECT_EQ(warnings(), 2u) << "a renewal that ends soon";
}

TEST_F(certificates_that_end, are_left_to_the_other_error_when_they_have_ended) {
  const auto made = client(ending(days{1}));
  ASSERT_TRUE(made);
  pass(days{1});
  (*made)->look();
  EXPECT_EQ(warnings(), 1u);
  EXPECT_EQ(logged("certificate-out-of-time"), 1u);
}

TEST_F(certificates_that_end, include_the_ca_that_issued_the_own_one) {
  own_ca(40);
  const auto files = ending(days{90});
  const auto made = client(files);
  ASSERT_TRUE(made);
  pass(days{10} - seconds{1});
  (*made)->look();
  EXPECT_EQ(warnings(), 0u);
  pass(seconds{1});
  (*made)->look();
  EXPECT_EQ(warnings(), 1u);
  EXPECT_THAT(log.text(),
              HasSubstr("CA file " + files.ca + ": the CA that issued the own certificate ends on "));
  EXPECT_THAT(log.text(), HasSubstr("\"file\":\"" + files.ca + "\""));
}

TEST_F(certificates_that_end, ignore_a_ca_that_issued_another_one) {
  const auto files = ending(days{90});
  const auto old = make_ca("old CA", 5, wall).value();
  (void)home.write("ca.crt", old.certificate_pem + home.ca.certificate_pem, 0644);
  ASSERT_TRUE(client(files));
  EXPECT_EQ(warnings(), 0u);
}

TEST_F(certificates_that_end, use_the_newest_certificate_of_a_renewed_ca) {
  const auto files = ending(days{90});
  const auto old = signed_by(home.ca, home.ca, wall + days{5});  // same name and key
  for (const auto& both : {old + home.ca.certificate_pem, home.ca.certificate_pem + old}) {
    (void)home.write("ca.crt", both, 0644);
    ASSERT_TRUE(client(files));
    EXPECT_EQ(warnings(), 0u);
  }
}

TEST_F(certificates_that_end, include_an_intermediate) {
  const auto intermediate = make_ca("intermediate", 400, wall).value();
  const auto files = ending(days{90}, &intermediate);
  std::ifstream in{files.certificate};
  const std::string own{std::istreambuf_iterator<char>{in}, {}};
  (void)home.write("ending.crt", own + signed_by(home.ca, intermediate, wall + days{25}), 0644);
  ASSERT_TRUE(client(files));
  EXPECT_EQ(warnings(), 1u);
  EXPECT_THAT(log.text(), HasSubstr("an intermediate certificate ends on "));
  own_ca(400);
  (void)home.write("ca.crt", home.ca.certificate_pem, 0644);
  ASSERT_TRUE(client(files)) << "issued by a CA that only the other side trusts";
}

TEST_F(certificates_that_end, include_a_ca_behind_an_intermediate) {
  own_ca(10);
  const auto intermediate = make_ca("intermediate", 400, wall).value();
  const auto files = ending(days{90}, &intermediate);
  std::ifstream in{files.certificate};
  const std::string own{std::istreambuf_iterator<char>{in}, {}};
  (void)home.write("ending.crt", own + signed_by(home.ca, intermediate, wall + days{300}), 0644);
  const auto made = client(files);
  ASSERT_TRUE(made);
  EXPECT_EQ(warnings(), 1u);
  EXPECT_THAT(log.text(), HasSubstr("CA file " + files.ca));
  pass(days{11});
  (*made)->look();
  EXPECT_EQ(at_level("error"), 1u);
  EXPECT_THAT(log.text(), HasSubstr("the CA that issued the own certificate ended on "));
}

TEST_F(certificates_that_end, can_be_listed_without_a_role) {
  own_ca(20);
  const auto files = ending(days{10});
  const auto all = ending_certificates(files, tls_role::client, wall);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].file, &tls_files::certificate);
  EXPECT_THAT(all[0].what.detail, HasSubstr("in 10 days"));
  EXPECT_EQ(all[1].file, &tls_files::ca);
  EXPECT_THAT(all[1].what.detail, HasSubstr("in 20 days"));
  EXPECT_TRUE(ending_certificates(files, tls_role::server, wall).empty()) << "they cannot be used";
}

}  // namespace
}  // namespace cpns::crypto
