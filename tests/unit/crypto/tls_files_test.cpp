// The errors for certificate and key files that cannot be used.

#include <gmock/gmock.h>

#include "crypto_test.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using testing::HasSubstr;

struct tls_files_of_a_role : testing::Test {
  tls_home home;

  static void refused(const tls_files& files, errc code, const std::string& why) {
    const auto made = make_server_tls(files);
    ASSERT_FALSE(made) << why;
    EXPECT_EQ(made.error().code, code) << made.error().message();
    EXPECT_THAT(made.error().detail, HasSubstr(why));
  }
};

TEST_F(tls_files_of_a_role, must_exist) {
  auto files = home.server;
  files.ca = home.folder() + "/nowhere.crt";
  refused(files, errc::config_file, "CA file " + files.ca + ": No such file");
  files = home.server;
  files.key = home.folder();
  refused(files, errc::config_file, "this is a folder, not a file");
  files = home.server;
  files.certificate.clear();
  refused(files, errc::config_missing, "certificate file is not given");
}

TEST_F(tls_files_of_a_role, must_be_pem) {
  auto files = home.server;
  files.certificate = home.write("empty.crt", "", 0644);
  refused(files, errc::crypto_certificate, "holds no PEM certificate");
  files = home.server;
  files.key = home.write("bad.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0600);
  refused(files, errc::crypto_certificate, "holds no PEM private key");
  files = home.server;
  files.ca = home.write("half.crt", home.ca.certificate_pem + home.ca.certificate_pem.substr(0, 200), 0644);
  refused(files, errc::crypto_certificate, "damaged");
}

TEST_F(tls_files_of_a_role, must_have_a_key_that_is_not_encrypted) {
  auto files = home.server;
  files.key =
      home.write("locked.key",
                 "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBvTBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQI\n"
                 "-----END ENCRYPTED PRIVATE KEY-----\n",
                 0600);
  refused(files, errc::crypto_certificate, "or an encrypted one");
}

TEST_F(tls_files_of_a_role, must_have_a_private_key_file) {
  for (const int mode : {0644, 0604, 0660, 0610, 0601}) {
    auto files = home.server;
    files.key = home.write("open.key", "no matter", mode);
    refused(files, errc::config_file, "chmod 600");
  }
}

TEST_F(tls_files_of_a_role, must_have_the_key_of_the_certificate) {
  auto files = home.server;
  files.key = home.client.key;
  refused(files, errc::crypto_certificate, "does not belong to the certificate in " + files.certificate);
}

TEST_F(tls_files_of_a_role, must_have_a_certificate_that_is_valid_now) {
  auto r = request_for(certificate_usage::server, "urn:cpns:server:old");
  r.not_before = time_point{std::chrono::hours{24 * 365 * 40}};
  r.not_after = r.not_before + std::chrono::hours{24};
  refused(home.files("old", r), errc::crypto_certificate, "expired on 2009-12-23 00:00:00 UTC");
  r.not_before = now_wall() + std::chrono::hours{2};
  r.not_after = r.not_before + std::chrono::hours{2};
  refused(home.files("new", r), errc::crypto_certificate, "is not valid before");
}

TEST_F(tls_files_of_a_role, must_have_a_certificate_for_this_role) {
  refused(home.client, errc::crypto_certificate, "is not for a server");
  const auto made = make_client_tls(home.server);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().detail, HasSubstr("is not for a client"));
}

TEST_F(tls_files_of_a_role, never_show_the_key_in_an_error) {
  auto files = home.server;
  files.key = home.client.key;
  const auto made = make_server_tls(files);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message().find("PRIVATE KEY-----"), std::string::npos);
}

TEST_F(tls_files_of_a_role, have_the_uri_of_their_certificate) {
  EXPECT_EQ(uri_of_certificate(home.client.certificate), "urn:cpns:gw:hall");
  EXPECT_EQ(uri_of_certificate(home.server.ca).error().code, errc::peer_identity);
  EXPECT_EQ(uri_of_certificate(home.folder() + "/nowhere.crt").error().code, errc::config_file);
}

TEST_F(tls_files_of_a_role, are_checked_against_the_authorities_of_the_other_side) {
  using enum tls_role;
  EXPECT_TRUE(check_issuer(home.server.certificate, home.client.ca, server));
  EXPECT_TRUE(check_issuer(home.client.certificate, home.server.ca, client));
  auto r = request_for(certificate_usage::server, "urn:cpns:server:old");
  r.not_before = time_point{std::chrono::hours{24 * 365 * 40}};
  r.not_after = r.not_before + std::chrono::hours{24};
  EXPECT_TRUE(check_issuer(home.files("old", r).certificate, home.client.ca, server))
      << "its date is not compared";
  EXPECT_FALSE(check_issuer(home.client.certificate, home.server.ca, server)) << "it is not for a server";

  const auto other = make_ca("test CA", 2).value();  // the same name
  const auto refused_by = [&](const std::string& ca) {
    const auto done = check_issuer(home.server.certificate, ca, server);
    return done ? errc{} : done.error().code;
  };
  EXPECT_EQ(refused_by(home.write("other.crt", other.certificate_pem, 0644)), errc::crypto_certificate);
  EXPECT_EQ(refused_by(home.write("both.crt", other.certificate_pem + home.ca.certificate_pem, 0644)),
            errc{});
  EXPECT_EQ(refused_by(home.folder() + "/nowhere.crt"), errc::config_file);
}

}  // namespace
}  // namespace cpns::crypto
