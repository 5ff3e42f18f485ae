// `cpns ca issue`: certificates, their files, and the refusals that write nothing.

#include "cli/issuing.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "cli/trial_folder.hpp"
#include "crypto/pki.hpp"
#include "crypto/tls.hpp"
#include "temp_folder.hpp"
#include "tests/unit/crypto/csr.hpp"

namespace cpns::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::days;

class issuing : public test::temp_folder {
 protected:
  void SetUp() override {
    fs::create_directory(ca);
    make_ca(now);
  }
  void make_ca(time_point when) {
    const auto made = crypto::make_ca("development CA", 100, when).value();
    write("ca/ca.pem", made.certificate_pem, 0644);
    write("ca/ca.key", std::string{as_text(made.key_pem.expose())});
  }
  issue_options options(certificate_kind kind = certificate_kind::gateway) const {
    return {.kind = kind, .name = "hall", .ca = ca};
  }
  /// Names in a folder, sorted.
  static std::vector<std::string> names(const fs::path& in) {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(in)) out.push_back(entry.path().filename());
    std::sort(out.begin(), out.end());
    return out;
  }
  /// Expects an error with this code and text, and no file beside those of the CA.
  void refused(const issue_options& o, errc code, const std::string& why) const {
    const auto made = issue_certificate(o, now);
    ASSERT_FALSE(made) << why;
    EXPECT_EQ(made.error().code, code) << made.error().message();
    EXPECT_NE(made.error().detail.find(why), std::string::npos) << made.error().detail;
    EXPECT_EQ(names(ca), before) << "nothing is written";
  }
  using x509 = std::unique_ptr<X509, decltype(&X509_free)>;
  static x509 parsed(const fs::path& file) {
    const auto text = read(file);
    const crypto::bio in{BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
    return {PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), X509_free};
  }

  using strings = std::vector<std::string>;
  const fs::path ca = folder / "ca";
  strings before{"ca.key", "ca.pem"};
  time_point now = std::chrono::floor<seconds>(now_wall());
};

TEST_F(issuing, makes_files_that_a_role_accepts) {
  for (const auto& [kind, uri] : {std::pair{certificate_kind::gateway, "urn:cpns:gw:hall"},
                                  {certificate_kind::server, "urn:cpns:server:hall"},
                                  {certificate_kind::admin, "urn:cpns:admin:hall"}}) {
    auto o = options(kind);
    o.replace = true;
    const auto made = issue_certificate(o, now);
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(made->certificate, ca / "hall.pem");
    EXPECT_EQ(made->key, ca / "hall.key");
    EXPECT_EQ(made->uri, uri);
    EXPECT_EQ(mode(made->key), 0600U);
    EXPECT_EQ(mode(made->certificate), 0644U);
    EXPECT_EQ(names(ca), (strings{"ca.key", "ca.pem", "hall.key", "hall.pem"})) << "no temporary file";
    const crypto::tls_files files{(ca / "ca.pem").string(), made->certificate.string(), made->key.string()};
    const bool server = kind == certificate_kind::server;
    const auto context = server ? crypto::make_server_tls(files) : crypto::make_client_tls(files);
    ASSERT_TRUE(context) << context.error().message();
    EXPECT_EQ(crypto::own_uri(context->get()).value_or(""), uri);
    EXPECT_FALSE(server ? crypto::make_client_tls(files) : crypto::make_server_tls(files));
  }
}

TEST_F(issuing, gives_only_a_server_host_names_and_addresses) {
  auto o = options(certificate_kind::server);
  const auto plain = parsed(issue_certificate(o, now)->certificate);
  EXPECT_EQ(X509_check_host(plain.get(), "localhost", 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(plain.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(plain.get(), "::1", 0), 1);
  o.name = "named";
  o.dns = {"a.example.org", "b.example.org"};
  o.ips = {"192.0.2.7"};
  const auto named = parsed(issue_certificate(o, now)->certificate);
  for (const auto& host : o.dns) EXPECT_EQ(X509_check_host(named.get(), host.c_str(), 0, 0, nullptr), 1);
  EXPECT_EQ(X509_check_ip_asc(named.get(), "192.0.2.7", 0), 1);
  EXPECT_EQ(X509_check_host(named.get(), "localhost", 0, 0, nullptr), 0);
  o = options();
  o.name = "gateway";
  const auto gateway = parsed(issue_certificate(o, now)->certificate);
  EXPECT_EQ(X509_check_host(gateway.get(), "localhost", 0, 0, nullptr), 0);
}

TEST_F(issuing, refuses_bad_options) {
  auto o = options();
  for (const auto* name : {"", "a b", "../x", "a/b"}) {
    o.name = name;
    refused(o, errc::config_usage, "NAME: ");
  }
  o = options();
  for (const unsigned wrong : {0U, 3651U}) {
    o.days = wrong;
    refused(o, errc::config_usage, "--days");
  }
  o = options();
  o.dns = {"localhost"};
  refused(o, errc::config_usage, "--dns and --ip are for a server alone");
  o = options(certificate_kind::server);
  o.dns = {"[::1]"};
  refused(o, errc::config_usage, "--dns: '[::1]' is not a host name");
  o.dns.clear();
  o.ips = {"127.0.0.256"};
  refused(o, errc::config_usage, "--ip: '127.0.0.256' is not an IPv4 or IPv6 address");
  o = options();
  o.out = folder / "nowhere";
  refused(o, errc::config_file, "nowhere: this is not a folder");
}

TEST_F(issuing, ends_with_the_ca_at_the_latest) {
  auto o = options();
  EXPECT_EQ(issue_certificate(o, now)->not_after, now + days{100}) << "the CA ends before the default";
  o.replace = true;
  o.days = 100;
  EXPECT_EQ(issue_certificate(o, now)->not_after, now + days{100});
  o.days = 30;
  const auto made = issue_certificate(o, now + days{1});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->not_after, now + days{31});
  const auto c = parsed(made->certificate);
  std::time_t last = unix_seconds(now + days{31});
  EXPECT_EQ(X509_cmp_time(X509_get0_notAfter(c.get()), &last), -1) << "at this second or before";
  --last;
  EXPECT_EQ(X509_cmp_time(X509_get0_notAfter(c.get()), &last), 1);

  before = names(ca);
  o.days = 101;
  refused(o, errc::config_usage,
          "--days 101: the CA ends on " + utc_text(unix_seconds(now + days{100})) + "; choose at most 100");
}

TEST_F(issuing, is_valid_for_all_days_that_init_gives) {
  const auto trial = make_trial_folder({.folder = folder / "trial", .devices = 0});
  ASSERT_TRUE(trial) << trial.error().message();
  auto o = options();
  o.ca = folder / "trial/tls";
  EXPECT_EQ(issue_certificate(o, now)->not_after, now + days{certificate_days});
}

TEST_F(issuing, refuses_a_ca_that_cannot_issue) {
  const auto good = read(ca / "ca.pem"), own_key = read(ca / "ca.key");
  make_ca(now - days{101});
  refused(options(), errc::crypto_certificate, "it expired on ");
  make_ca(now + days{1});
  refused(options(), errc::crypto_certificate, "it is not valid before ");
  make_ca(now);
  write("ca/ca.key", own_key);
  refused(options(), errc::crypto_certificate, "the CA's key does not belong to its certificate");
  write("ca/ca.pem", "no PEM\n");
  refused(options(), errc::crypto_certificate, "the CA's certificate is not PEM");
  write("ca/ca.pem", good);
  write("ca/ca.key", "no PEM\n");
  refused(options(), errc::crypto_certificate, "the CA's private key is not PEM");
  write("ca/ca.key", own_key, 0644);
  refused(options(), errc::config_file, "group or others have access to this secret file");
  before = {"ca.pem"};
  fs::remove(ca / "ca.key");
  refused(options(), errc::config_file, "ca.key: No such file or directory; --ca names a folder with");
  before = {};
  fs::remove(ca / "ca.pem");
  refused(options(), errc::config_file, "ca.pem: No such file or directory; --ca names a folder with");
}

TEST_F(issuing, refuses_an_end_certificate_as_the_ca) {
  auto o = options();
  ASSERT_TRUE(issue_certificate(o, now));
  fs::rename(ca / "hall.pem", ca / "ca.pem");
  fs::rename(ca / "hall.key", ca / "ca.key");
  refused(o, errc::crypto_certificate, "the issuer's certificate is not a CA certificate");
}

TEST_F(issuing, overwrites_nothing_without_replace) {
  for (const auto* name : {"hall.pem", "hall.key"}) {
    write(std::string{"ca/"} + name, "mine");
    before = {"ca.key", "ca.pem", name};
    std::sort(before.begin(), before.end());
    refused(options(), errc::state_exists,
            std::string{name} + "; choose another name or --out, or replace it");
    EXPECT_EQ(read(ca / name), "mine");
    fs::remove(ca / name);
  }
  fs::create_symlink("nowhere", ca / "hall.key");
  before = {"ca.key", "ca.pem", "hall.key"};
  refused(options(), errc::state_exists, "hall.key");
}

TEST_F(issuing, replaces_both_files) {
  auto o = options();
  o.out = folder / "out";
  fs::create_directory(o.out);
  write("out/hall.pem", "old", 0600);
  write("out/hall.key", "old", 0644);
  write("out/hall.key.creating", "of a crash");
  write("out/hall.key.new", "a key that a person put there");
  o.replace = true;
  ASSERT_TRUE(issue_certificate(o, now));
  EXPECT_EQ(names(o.out), (strings{"hall.key", "hall.key.new", "hall.pem"}));
  EXPECT_EQ(mode(o.out / "hall.key"), 0600U);
  EXPECT_TRUE(crypto::make_client_tls({ca / "ca.pem", o.out / "hall.pem", o.out / "hall.key"}));
}

TEST_F(issuing, never_replaces_the_ca) {
  const auto own_key = read(ca / "ca.key");
  auto o = options();
  o.name = "ca";
  o.replace = true;
  refused(o, errc::config_usage, "is a file of the CA; choose another name or --out");
  o.name = "link";
  o.out = folder / "out";
  fs::create_directory(o.out);
  fs::create_hard_link(ca / "ca.key", o.out / "link.key");
  refused(o, errc::config_usage, "link.key is a file of the CA");
  EXPECT_EQ(read(ca / "ca.key"), own_key);
}

TEST_F(issuing, replaces_regular_files_alone) {
  fs::create_directory(ca / "hall.pem");
  before = {"ca.key", "ca.pem", "hall.pem"};
  auto o = options();
  o.replace = true;
  refused(o, errc::config_file, "hall.pem: not a regular file");
}

TEST_F(issuing, takes_the_public_key_of_a_csr) {
  const auto own_key = crypto::new_key(EVP_EC_gen("P-256"));
  auto o = options();
  o.csr = write("hall.csr", crypto::csr_for(own_key));
  const auto made = issue_certificate(o, now);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(made->key.empty());
  EXPECT_EQ(names(ca), (strings{"ca.key", "ca.pem", "hall.pem"})) << "no private key";
  const auto own = write("hall.key", crypto::key_text(own_key));
  const auto context = crypto::make_client_tls({ca / "ca.pem", made->certificate, own});
  ASSERT_TRUE(context) << context.error().message();
  EXPECT_EQ(crypto::own_uri(context->get()).value_or(""), "urn:cpns:gw:hall") << "not the URI in the CSR";
}

TEST_F(issuing, refuses_a_bad_csr) {
  const auto own_key = crypto::new_key(EVP_EC_gen("P-256")), other = crypto::new_key(EVP_EC_gen("P-256"));
  auto o = options();
  o.csr = folder / "hall.csr";
  refused(o, errc::config_file, "hall.csr: No such file");
  write("hall.csr", "no PEM\n");
  refused(o, errc::crypto_certificate, "hall.csr: no PEM certificate request");
  write("hall.csr", crypto::csr_for(own_key.get(), other.get()));
  refused(o, errc::crypto_certificate, "hall.csr: the signature of the certificate request does not verify");
  write("hall.csr", crypto::csr_for(crypto::new_key(EVP_RSA_gen(1024))));
  refused(o, errc::crypto_weak, "hall.csr: the key of the certificate request; use P-256");
}

TEST_F(issuing, takes_the_first_file_back_if_the_second_cannot_be_placed) {
  const bytes content{'n', 'e', 'w'};
  const auto own_key = folder / "x.key", pem = folder / "x.pem";
  const auto first = names(folder);
  const auto raced =
      write_together({{own_key, content, 0600}, {pem, content, 0644}}, false, [&](const auto& placed) {
        if (placed == own_key) write("x.pem", "of another process");
      });
  ASSERT_FALSE(raced);
  EXPECT_EQ(raced.error().code, errc::state_exists);
  EXPECT_EQ(read(pem), "of another process");
  fs::remove(pem);
  EXPECT_EQ(names(folder), first) << "no key without its certificate";

  write("x.key", "old key");
  write("x.pem", "old certificate");
  const auto failed =
      write_together({{own_key, content, 0600}, {pem, content, 0644}}, true, [&](const auto& placed) {
        if (placed != own_key) return;
        EXPECT_EQ(read(own_key), "new");
        fs::remove(pem);
        fs::create_directory(pem);
      });
  EXPECT_FALSE(failed);
  EXPECT_EQ(read(own_key), "old key");
  fs::remove(pem);
  fs::remove(own_key);
  EXPECT_EQ(names(folder), first) << "no temporary file";
}

TEST_F(issuing, places_no_file_if_one_of_them_exists) {
  const bytes content{'n', 'e', 'w'};
  write("x.pem", "mine");
  unsigned placed = 0;
  EXPECT_FALSE(write_together({{folder / "x.key", content, 0600}, {folder / "x.pem", content, 0644}}, false,
                              [&](const fs::path&) { ++placed; }));
  EXPECT_EQ(placed, 0U);
}

TEST_F(issuing, places_the_key_first) {
  const bytes content{'n', 'e', 'w'};
  std::vector<fs::path> order;
  ASSERT_TRUE(write_together({{folder / "x.key", content, 0600}, {folder / "x.pem", content, 0644}}, false,
                             [&](const fs::path& placed) { order.push_back(placed.filename()); }));
  EXPECT_EQ(order, (std::vector<fs::path>{"x.key", "x.pem"}));
}

}  // namespace
}  // namespace cpns::cli
