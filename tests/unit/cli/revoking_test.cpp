// `cpns ca revoke`: the list of the development CA, and the refusals that write nothing.
#include "cli/revoking.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>

#include "base/descriptor.hpp"
#include "cli/commands.hpp"
#include "cli/issuing.hpp"
#include "crypto/tls.hpp"
#include "temp_folder.hpp"
#include "typed_command.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;

class revoking : public test::temp_folder {
 protected:
  void SetUp() override {
    fs::create_directory(ca);
    const auto made = crypto::make_ca("development CA", 100, now).value();
    identity.certificate_pem = made.certificate_pem;
    identity.key_pem = made.key_pem;
    write("ca/ca.pem", made.certificate_pem, 0644);
    write("ca/ca.key", std::string{as_text(made.key_pem.expose())});
    for (const auto* name : {"hall", "kitchen"})
      ASSERT_TRUE(issue_certificate({.name = name, .ca = ca}, now));
  }
  std::string serial_of(const fs::path& file) const {
    return crypto::certificate_of(identity, read(file)).value().serial;
  }
  crypto::revocation_list list() const {
    return crypto::read_crls(identity, read(ca / "ca.crl")).value().own;
  }
  std::vector<std::string> listed() const {
    std::vector<std::string> out;
    for (const auto& r : list().revoked) out.push_back(r.serial);
    return out;
  }
  void refused(const revoke_options& o, errc code, const std::string& why) const {
    const auto before = fs::exists(ca / "ca.crl") ? read(ca / "ca.crl") : std::string{};
    const auto done = revoke_certificate(o, now);
    ASSERT_FALSE(done) << why;
    EXPECT_EQ(done.error().code, code) << done.error().message();
    EXPECT_NE(done.error().detail.find(why), std::string::npos) << done.error().detail;
    EXPECT_EQ(fs::exists(ca / "ca.crl") ? read(ca / "ca.crl") : std::string{}, before);
  }

  const fs::path ca = folder / "ca";
  crypto::identity identity;
  time_point now = std::chrono::floor<seconds>(now_wall());
};

TEST_F(revoking, makes_a_list_that_a_role_accepts_and_adds_to_it) {
  const auto first = revoke_certificate({.ca = ca, .name = "hall"}, now);
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_EQ(first->crl, ca / "ca.crl");
  EXPECT_EQ(first->serial, serial_of(ca / "hall.pem"));
  EXPECT_EQ(first->name, "urn:cpns:gw:hall");
  EXPECT_FALSE(first->already);
  EXPECT_EQ(first->revoked, 1U);
  EXPECT_EQ(mode(first->crl), 0644U);
  crypto::tls_files files{(ca / "ca.pem").string(), (ca / "kitchen.pem").string(),
                          (ca / "kitchen.key").string(), first->crl.string()};
  EXPECT_TRUE(crypto::make_client_tls(files));
  EXPECT_TRUE(crypto::check_tls_files(files, crypto::tls_role::client).empty());

  const auto second = revoke_certificate({.ca = ca, .certificate = ca / "kitchen.pem"}, now + seconds{5});
  ASSERT_TRUE(second) << second.error().message();
  auto both = std::vector{serial_of(ca / "hall.pem"), serial_of(ca / "kitchen.pem")};
  std::sort(both.begin(), both.end());
  auto found = listed();
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, both);
  EXPECT_EQ(list().number, 2U);
  EXPECT_EQ(list().from, now + seconds{5});
}

TEST_F(revoking, keeps_the_lists_of_other_cas_in_the_file) {
  const auto other = crypto::make_ca("another CA", 100, now).value();
  const auto foreign = crypto::make_crl(other, {7, now, now + std::chrono::days{9}, {{"0A", now}}}).value();
  ASSERT_TRUE(revoke_certificate({.ca = ca, .name = "hall"}, now));
  write("ca/ca.crl", read(ca / "ca.crl") + foreign, 0644);
  for (const auto& o : {revoke_options{.ca = ca, .name = "kitchen"}, revoke_options{.ca = ca}}) {
    const auto done = revoke_certificate(o, now);
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->others, 1U);
    EXPECT_EQ(listed().size(), 2U);
    EXPECT_EQ(crypto::read_crls(other, read(ca / "ca.crl")).value().own.revoked.at(0).serial, "0A");
  }
}

TEST_F(revoking, keeps_the_first_date_of_a_certificate_that_is_revoked_twice) {
  ASSERT_TRUE(revoke_certificate({.ca = ca, .name = "hall"}, now));
  const auto again = revoke_certificate({.ca = ca, .name = "hall"}, now + std::chrono::days{3});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->already);
  ASSERT_EQ(list().revoked.size(), 1U);
  EXPECT_EQ(list().revoked[0].when, now);
  EXPECT_EQ(list().from, now + std::chrono::days{3});
}

TEST_F(revoking, takes_a_serial_number_in_each_form) {
  for (const auto* text : {"0x4f2a", "4F2A", "4f:2A", "004F2A"})
    ASSERT_TRUE(revoke_certificate({.ca = ca, .serial = text}, now)) << text;
  EXPECT_EQ(listed(), (std::vector<std::string>{"4F2A"}));
  ASSERT_TRUE(revoke_certificate({.ca = ca, .serial = "abc"}, now));
  EXPECT_EQ(listed().size(), 2U);
  EXPECT_EQ(listed().front(), "0ABC");
}

TEST_F(revoking, ends_the_list_with_the_ca_at_the_latest) {
  ASSERT_TRUE(revoke_certificate({.ca = ca}, now));
  EXPECT_TRUE(listed().empty());
  EXPECT_EQ(list().to, now + std::chrono::days{100}) << "365 days, but the CA ends";
  ASSERT_TRUE(revoke_certificate({.ca = ca, .days = 7}, now));
  EXPECT_EQ(list().to, now + std::chrono::days{7});
}

TEST_F(revoking, writes_nothing_after_a_mistake) {
  refused({.ca = ca, .name = "a/b"}, errc::config_usage, "NAME: ");
  refused({.ca = ca, .name = "hall", .serial = "4F"}, errc::config_usage, "name one certificate");
  refused({.ca = ca, .name = "hall", .days = 0}, errc::config_usage, "--days");
  refused({.ca = ca, .name = "ca"}, errc::config_usage, "is the CA itself");
  refused({.ca = ca, .name = "nobody"}, errc::config_file,
          "--serial revokes a certificate whose file is gone");
  for (const auto* bad : {"xyz", "4F 2A", "0102030405060708090A0B0C0D0E0F1011121314FF"})
    refused({.ca = ca, .serial = bad}, errc::config_usage, "is not a serial number");
  refused({.ca = folder / "nowhere", .name = "hall"}, errc::config_file, "nowhere");
  const auto other = crypto::make_ca("development CA", 100, now).value();
  crypto::certificate_request r;
  r.common_name = "foreign";
  r.uris = {"urn:cpns:gw:foreign"};
  r.not_before = now;
  r.not_after = now + seconds{60};
  write("foreign.pem", crypto::issue(other, r)->certificate_pem, 0644);
  refused({.ca = ca, .certificate = folder / "foreign.pem"}, errc::crypto_certificate,
          "this CA has not issued");
  write("ca/ca.crl", crypto::make_crl(other, {1, now, now + seconds{60}, {}}).value(), 0644);
  refused({.ca = ca, .name = "hall"}, errc::crypto_certificate,
          "this CA has not signed the CRL; move the file away");
}

TEST_F(revoking, refuses_a_second_call_at_the_same_time) {
  const descriptor locked(::open((ca / "ca.key").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(locked.get(), LOCK_EX | LOCK_NB), 0);
  refused({.ca = ca, .name = "hall"}, errc::state_conflict, "another cpns ca revoke is running");
}

/// The command as it is typed.
class revoke_command : public revoking {
 protected:
  test::typed_outcome run(std::vector<std::string> args) const {
    args.insert(args.begin(), {"ca", "revoke"});
    return test::type_command(std::move(args), [](CLI::App& app, int& code) { add_ca(app, code); });
  }
};

TEST_F(revoke_command, prints_the_serial_and_the_list) {
  const auto first = run({"hall", "--ca", ca.string()});
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.out.find("revoked           " + serial_of(ca / "hall.pem") +
                           " urn:cpns:gw:hall\nlist              " + (ca / "ca.crl").string() +
                           ", 1 certificate\nvalid until       "),
            0U)
      << first.out;
  const auto json = run({"--renew", "--ca", ca.string(), "--json", "--days", "3"});
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(json.out.find("{\"crl\":\"" + (ca / "ca.crl").string() + "\",\"revoked\":1,\"valid_until\":\""),
            0U)
      << json.out;
}

TEST_F(revoke_command, has_the_exit_codes_of_its_neighbours) {
  EXPECT_EQ(run({"--ca", ca.string()}).code, 2) << "no certificate";
  EXPECT_EQ(run({"hall", "--renew", "--ca", ca.string()}).code, 2);
  EXPECT_EQ(run({"hall", "--days", "0", "--ca", ca.string()}).code, 2);
  EXPECT_EQ(run({"nobody", "--ca", ca.string()}).code, 1);
  EXPECT_NE(run({"--help"}).out.find("Examples:\n  cpns ca revoke"), std::string::npos);
}

}  // namespace
}  // namespace cpns::cli
