// The files of a role that lives longer than its certificate, and whose clock may be wrong.
#include "crypto/tls_source.hpp"

#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include "crypto_test.hpp"
#include "tests/unit/server/captured_log.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using server_tests::captured_log;
using std::chrono::hours;
using testing::HasSubstr;

struct tls_files_of_a_long_life : testing::Test {
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
  /// Another certificate at the same place.
  tls_files renew(const std::string& uri = "urn:cpns:gw:hall") {
    return home.files("renewed", request_for(certificate_usage::client, uri));
  }
  static std::string serial(tls_source& s) {
    const auto made = s.context();
    if (!made) return made.error().message();
    const auto* number = X509_get0_serialNumber(SSL_CTX_get0_certificate(made->get()));
    return to_hex({ASN1_STRING_get0_data(number), static_cast<std::size_t>(ASN1_STRING_length(number))});
  }
  std::size_t said(std::string_view what) const {
    const auto text = log.text();
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  }
};

TEST_F(tls_files_of_a_long_life, a_clock_in_the_past_is_waited_for) {
  const auto right = wall;
  wall = time_point{seconds{30}};
  const auto made = server(home.server);
  ASSERT_TRUE(made) << made.error().message();
  const auto none = (*made)->context();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, errc::crypto_certificate);
  EXPECT_THAT(none.error().detail, HasSubstr("is not valid before"));
  EXPECT_EQ(said("certificate-out-of-time"), 1u);
  wall = right;
  EXPECT_TRUE((*made)->context()) << "without reading a file again";
  EXPECT_EQ(said("certificate-in-time"), 1u);
}

TEST_F(tls_files_of_a_long_life,
       an_expired_certificate_is_never_given_out_and_that_is_said_at_a_bounded_rate) {
  const auto made = client(home.client);
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->context());
  wall += hours{48};
  for (int i = 0; i < 30 * 60; ++i, timer += seconds{1}) EXPECT_FALSE((*made)->context());
  EXPECT_EQ(said("certificate-out-of-time"), 3u) << "half an hour";
}

TEST_F(tls_files_of_a_long_life, a_renewed_certificate_is_used_within_a_minute_or_when_told) {
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
  EXPECT_EQ(said("certificate-read"), 2u);
}

TEST_F(tls_files_of_a_long_life, files_that_are_being_replaced_leave_the_ones_before_in_use) {
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
  EXPECT_EQ(said("tls-files-refused"), 1u);
  (void)renew();
  timer += tls_source::reads_every;
  EXPECT_NE(serial(**made), before);
}

TEST_F(tls_files_of_a_long_life, a_gateway_does_not_become_another_one) {
  const auto made = client(renew());
  ASSERT_TRUE(made);
  const auto before = serial(**made);
  (void)renew("urn:cpns:gw:kitchen");
  (*made)->read_again();
  EXPECT_EQ(serial(**made), before);
  EXPECT_THAT(log.text(), HasSubstr("names another gateway now, which takes a restart"));
}

TEST_F(tls_files_of_a_long_life, what_a_person_has_to_mend_is_an_error_at_once) {
  auto files = home.server;
  files.key = home.client.key;
  EXPECT_FALSE(server(files));
  EXPECT_FALSE(server(home.client)) << "for the other role";
  files = home.server;
  files.ca = home.folder() + "/nowhere";
  EXPECT_FALSE(server(files));
}

}  // namespace
}  // namespace cpns::crypto
