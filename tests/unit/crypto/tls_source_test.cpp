// The files of a role that runs longer than its certificate is valid, and whose clock may be wrong.
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

}  // namespace
}  // namespace cpns::crypto
