// Revocation lists: in handshakes, in open connections, while a role reads them again, and those of the development CA.
#include <gmock/gmock.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "crypto/tls_source.hpp"
#include "crypto_test.hpp"
#include "csr.hpp"
#include "tests/unit/server/captured_log.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using server_tests::captured_log;
using std::chrono::days;
using testing::HasSubstr;
using testing::Not;

struct revocation : testing::Test {
  captured_log log;
  tls_home home;
  time_point wall = std::chrono::floor<seconds>(now_wall()), timer{seconds{1000}};
  tls_files server = with_list(home.server), client = with_list(home.client);

  revocation() { write({}); }
  tls_files with_list(tls_files files) const {
    files.crl = home.folder() + "/ca.crl";
    return files;
  }
  static std::string text_of_file(const std::string& path) {
    std::ifstream in{path};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  static std::string serial_of(const identity& ca, const tls_files& files) {
    return certificate_of(ca, text_of_file(files.certificate)).value().serial;
  }
  std::string list(const std::vector<tls_files>& revoked, const identity* by = nullptr, days valid = days{30},
                   days age = days{0}) const {
    const auto& ca = by != nullptr ? *by : home.ca;
    revocation_list l{7, wall - age, wall - age + valid, {}};
    for (const auto& files : revoked) l.revoked.push_back({serial_of(ca, files), wall - age});
    return make_crl(ca, l).value();
  }
  void write(const std::vector<tls_files>& revoked) const { put(list(revoked)); }
  void put(const std::string& text) const { (void)home.write("ca.crl", text, 0644); }

  result<std::shared_ptr<tls_source>> source(const tls_files& files, bool of_server = true) {
    const auto make = of_server ? tls_source::for_server : tls_source::for_client;
    return make(
        of_server ? "server" : "gateway", files, [this] { return wall; }, [this] { return timer; });
  }
  std::size_t logged(std::string_view what) const {
    const auto text = log.text();
    std::size_t n = 0;
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
    return n;
  }
  static tls_pair handshake(const tls_files& client, const tls_files& server) {
    const auto c = make_client_tls(client), s = make_server_tls(server);
    EXPECT_TRUE(c) << c.error().message();
    EXPECT_TRUE(s) << s.error().message();
    return {c->get(), s->get()};
  }
};

TEST_F(revocation, refuses_a_gateway_in_the_list_with_its_name_and_serial) {
  EXPECT_TRUE(handshake(client, server).server_ok) << "with an empty list";
  write({client});
  const auto pair = handshake(home.client, server);
  EXPECT_FALSE(pair.server_ok);
  EXPECT_EQ(pair.server_why.find("the peer's certificate was revoked (urn:cpns:gw:hall, serial " +
                                 serial_of(home.ca, client) + ", revoked on "),
            0u)
      << pair.server_why;
  EXPECT_EQ(pair.client_why, "the peer refused our certificate: it was revoked");
}

TEST_F(revocation, refuses_a_server_in_the_list) {
  write({server});
  const auto pair = handshake(client, home.server);
  EXPECT_FALSE(pair.client_ok);
  EXPECT_THAT(pair.client_why, HasSubstr("the peer's certificate was revoked (urn:cpns:server:one, serial "));
}

TEST_F(revocation, is_not_checked_without_a_list_file) {
  write({client, server});
  EXPECT_TRUE(handshake(home.client, home.server).server_ok);
}

TEST_F(revocation, of_another_certificate_refuses_nobody_else) {
  const auto other = home.files("other", request_for(certificate_usage::client, "urn:cpns:gw:other"));
  write({other});
  EXPECT_TRUE(handshake(client, server).server_ok);
  EXPECT_FALSE(handshake(other, server).server_ok);
}

TEST_F(revocation, by_an_expired_list_stays_and_others_are_still_accepted) {
  put(list({client}, nullptr, days{7}, days{30}));
  EXPECT_THAT(handshake(home.client, server).server_why, HasSubstr("was revoked"));
  const auto other = home.files("other", request_for(certificate_usage::client, "urn:cpns:gw:other"));
  EXPECT_TRUE(handshake(other, server).server_ok) << "a forgotten file must not lock everybody out";
}

TEST_F(revocation, needs_a_list_of_the_ca_that_issued_the_peer) {
  const auto second = make_ca("second CA", 2).value();
  (void)home.write("ca.crt", home.ca.certificate_pem + second.certificate_pem, 0644);
  const auto newcomer =
      home.files("newcomer", request_for(certificate_usage::client, "urn:cpns:gw:new"), &second);
  EXPECT_THAT(
      handshake(newcomer, server).server_why,
      HasSubstr("tls.crl has no list of the CA that issued the peer's certificate; add it to the file"));
  EXPECT_TRUE(handshake(home.client, server).server_ok);
  const auto remarks = ending_certificates(server, tls_role::server, wall);
  EXPECT_EQ(std::count_if(remarks.begin(), remarks.end(),
                          [](const auto& r) {
                            return r.file == &tls_files::crl &&
                                   r.what.detail.find("has no CRL of /CN=second CA") != std::string::npos;
                          }),
            1);
  put(list({}) + list({}, &second));
  EXPECT_TRUE(handshake(newcomer, server).server_ok);
  put(list({}) + list({newcomer}, &second));
  EXPECT_FALSE(handshake(newcomer, server).server_ok);
}

TEST_F(revocation, goes_by_the_key_of_the_ca_and_not_by_its_name) {
  const auto twin = make_ca("test CA", 2).value();
  (void)home.write("ca.crt", home.ca.certificate_pem + twin.certificate_pem, 0644);
  revocation_list l{1, wall, wall + days{1}, {{serial_of(home.ca, client), wall}}};
  put(list({}) + make_crl(twin, l).value());
  EXPECT_TRUE(handshake(home.client, server).server_ok) << "the twin cannot revoke what it did not issue";
}

struct bad_list : revocation {
  /// The error of a start with this list.
  std::string refused(const std::string& text) {
    put(text);
    const auto made = make_server_tls(server);
    EXPECT_FALSE(made);
    const auto faults = check_tls_files(server, tls_role::server);
    EXPECT_EQ(faults.size(), 1u);
    if (made || faults.size() != 1) return {};
    EXPECT_EQ(faults[0].file, &tls_files::crl);
    EXPECT_EQ(faults[0].what.detail, made.error().detail);
    return made.error().detail;
  }
};

TEST_F(bad_list, is_refused_with_the_reason) {
  const auto good = list({client});
  EXPECT_THAT(refused(""), HasSubstr("ca.crl holds no PEM CRL"));
  EXPECT_THAT(refused(home.ca.certificate_pem), HasSubstr("holds no PEM CRL"));
  EXPECT_THAT(refused(good.substr(0, good.size() / 2)), HasSubstr("holds a damaged PEM CRL"));
  EXPECT_THAT(refused("\x30\x82junk"), HasSubstr("is DER, not PEM"));
  const auto stranger = make_ca("stranger", 2).value();
  EXPECT_THAT(
      refused(make_crl(stranger, {1, wall, wall + days{1}, {}}).value()),
      HasSubstr("the CRL of /CN=stranger comes from a CA that is neither in tls.ca nor in tls.certificate"));
  const auto twin = make_ca("test CA", 2).value();
  EXPECT_THAT(refused(good + make_crl(twin, {1, wall, wall + days{1}, {}}).value()),
              HasSubstr("has a signature that does not verify"));
  auto files = server;
  files.crl = home.folder() + "/nowhere";
  EXPECT_EQ(make_server_tls(files).error().detail, "CRL file " + files.crl + ": No such file or directory");
}

/// The list with one more extension, signed again.
std::string extended(const identity& ca, const std::string& pem, int nid, const char* value, bool critical) {
  const auto from = [](std::string_view text) {
    return bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free_all};
  };
  const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> crl{
      PEM_read_bio_X509_CRL(from(pem).get(), nullptr, nullptr, nullptr), X509_CRL_free};
  const auto key =
      new_key(PEM_read_bio_PrivateKey(from(as_text(ca.key_pem.expose())).get(), nullptr, nullptr, nullptr));
  if (nid == NID_delta_crl) {  // it has no form in a configuration of openssl
    const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> base{ASN1_INTEGER_new(),
                                                                           ASN1_INTEGER_free};
    EXPECT_EQ(ASN1_INTEGER_set(base.get(), std::stol(value)), 1);
    EXPECT_EQ(X509_CRL_add1_ext_i2d(crl.get(), nid, base.get(), critical ? 1 : 0, 0), 1);
  } else {
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, nullptr, nullptr, nullptr, crl.get(), 0);
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> one{
        X509V3_EXT_conf_nid(nullptr, &ctx, nid, value), X509_EXTENSION_free};
    EXPECT_NE(one, nullptr);
    X509_EXTENSION_set_critical(one.get(), critical ? 1 : 0);
    EXPECT_EQ(X509_CRL_add_ext(crl.get(), one.get(), -1), 1);
  }
  EXPECT_GT(X509_CRL_sign(crl.get(), key.get(), EVP_sha256()), 0);
  const bio out{BIO_new(BIO_s_mem()), BIO_free_all};
  EXPECT_EQ(PEM_write_bio_X509_CRL(out.get(), crl.get()), 1);
  return text_of(out);
}

TEST_F(bad_list, of_a_kind_that_would_be_misread_is_refused) {
  const auto good = list({});
  EXPECT_THAT(refused(extended(home.ca, good, NID_delta_crl, "5", true)), HasSubstr("is a delta CRL"));
  EXPECT_THAT(refused(extended(home.ca, good, NID_issuing_distribution_point, "indirectCRL:TRUE", true)),
              HasSubstr("is an indirect CRL"));
  EXPECT_THAT(refused(extended(home.ca, good, NID_netscape_comment, "a note", true)),
              HasSubstr("has a critical extension that is not known"));
  put(extended(home.ca, good, NID_netscape_comment, "a note", false));
  EXPECT_TRUE(make_server_tls(server));
  put(extended(home.ca, list({client}), NID_issuing_distribution_point, "onlyuser:TRUE", true));
  EXPECT_THAT(handshake(home.client, server).server_why, HasSubstr("was revoked"));
}

TEST_F(revocation, read_again_applies_to_new_connections_and_to_open_ones) {
  const auto made = source(server);
  ASSERT_TRUE(made) << made.error().message();
  auto& role = **made;
  const auto client_context = make_client_tls(home.client);
  const tls_pair open{client_context->get(), role.context()->get()};
  ASSERT_TRUE(open.server_ok);
  EXPECT_FALSE(role.revoked(open.server.get()));
  const auto before = role.crl_changes();
  write({client});
  timer += tls_source::reads_every;
  role.look();
  EXPECT_EQ(role.crl_changes(), before + 1);
  const auto why = role.revoked(open.server.get());
  ASSERT_TRUE(why);
  EXPECT_EQ(
      why->find("the peer's certificate was revoked (urn:cpns:gw:hall, serial " + serial_of(home.ca, client)),
      0u)
      << *why;
  const tls_pair late{client_context->get(), role.context()->get()};
  EXPECT_FALSE(late.server_ok);
  timer += tls_source::reads_every;
  role.look();
  EXPECT_EQ(role.crl_changes(), before + 1) << "the same file changes nothing";
  EXPECT_EQ(logged("\"crl-read\""), 1u);
}

TEST_F(revocation, file_that_turns_bad_keeps_the_former_list_and_lets_a_new_certificate_in) {
  write({client});
  const auto files =
      with_list(home.files("own", request_for(certificate_usage::server, "urn:cpns:server:one")));
  const auto made = source(files);
  ASSERT_TRUE(made);
  const auto good = list({client});
  for (const auto& text : {good.substr(0, good.size() / 2), std::string{}, home.ca.certificate_pem}) {
    put(text);
    for (int minutes = 0; minutes < 3; ++minutes) {
      timer += tls_source::reads_every;
      (*made)->look();
    }
  }
  EXPECT_EQ(logged("\"crl-refused\""), 2u) << "one line for each reason";
  EXPECT_THAT(log.text(),
              HasSubstr("holds a damaged PEM CRL; the previous CRLs stay in use, next attempt in 60 s"));
  const auto client_context = make_client_tls(home.client);
  EXPECT_FALSE((tls_pair{client_context->get(), (*made)->context()->get()}.server_ok)) << "still revoked";
  (void)home.files("own", request_for(certificate_usage::server, "urn:cpns:server:one"));
  (*made)->read_again();
  EXPECT_EQ(logged("\"certificate-read\""), 1u) << "the list does not hold up a renewal";
  EXPECT_EQ(logged("\"tls-files-refused\""), 0u);
  write({});
  (*made)->read_again();
  EXPECT_TRUE((tls_pair{client_context->get(), (*made)->context()->get()}.server_ok));
}

TEST_F(revocation, list_that_ends_is_announced_in_its_last_quarter_and_an_error_afterwards) {
  put(list({}, nullptr, days{8}));
  const auto files = with_list(home.server);
  auto r = request_for(certificate_usage::server, "urn:cpns:server:one");
  r.not_after = wall + days{400};
  home.ca = make_ca("test CA", 400, wall).value();
  (void)home.write("ca.crt", home.ca.certificate_pem, 0644);
  (void)home.files("server", r);
  put(list({}, nullptr, days{8}));
  const auto made = source(files);
  ASSERT_TRUE(made) << made.error().message();
  const auto pass = [&](milliseconds time) {
    wall += time;
    timer += time;
    (*made)->look();
  };
  pass(days{6} - seconds{1});
  EXPECT_EQ(logged("\"crl-ends-soon\""), 0u);
  pass(seconds{1});
  EXPECT_EQ(logged("\"crl-ends-soon\""), 1u);
  EXPECT_THAT(log.text(), HasSubstr("the CRL of /CN=test CA ends on "));
  EXPECT_THAT(log.text(), HasSubstr("in 2 days; get a newer one from the CA"));
  EXPECT_THAT(log.text(), Not(HasSubstr("\"level\":\"error\"")));
  pass(days{2} + seconds{1});
  EXPECT_EQ(logged("\"crl-ends-soon\""), 2u);
  EXPECT_THAT(log.text(), HasSubstr("\"level\":\"error\""));
  EXPECT_THAT(log.text(), HasSubstr("it stays in use, but a certificate that was revoked since is accepted"));
  put(list({}, nullptr, days{8}));
  pass(tls_source::reads_every);
  pass(days{1});
  EXPECT_EQ(logged("\"crl-ends-soon\""), 2u) << "silent after a renewal";
}

TEST_F(revocation, of_the_own_certificate_is_reported_once_a_day) {
  write({server});
  const auto made = source(server);
  ASSERT_TRUE(made);
  EXPECT_EQ(logged("\"certificate-revoked\""), 1u);
  EXPECT_THAT(log.text(), HasSubstr("the certificate urn:cpns:server:one is in the CRL (serial "));
  for (int i = 0; i < 100; ++i) (void)(*made)->context();
  EXPECT_EQ(logged("\"certificate-revoked\""), 1u);
  const auto remarks = ending_certificates(server, tls_role::server, wall);
  EXPECT_TRUE(std::any_of(remarks.begin(), remarks.end(), [](const auto& r) {
    return r.file == &tls_files::certificate && r.what.detail.find("is in the CRL") != std::string::npos;
  }));
}

TEST(development_crl, is_read_back_as_it_was_written) {
  const auto ca = make_ca("CA", 10).value();
  const auto now = std::chrono::floor<seconds>(now_wall());
  const revocation_list wanted{3, now, now + days{5}, {{"0A", now}, {"F0C1D2", now - days{1}}}};
  const auto pem = make_crl(ca, wanted);
  ASSERT_TRUE(pem) << pem.error().message();
  const auto file = read_crls(ca, *pem);
  ASSERT_TRUE(file) << file.error().message();
  const auto* back = &file->own;
  EXPECT_EQ(back->number, 3u);
  EXPECT_EQ(back->from, now);
  EXPECT_EQ(back->to, now + days{5});
  ASSERT_EQ(back->revoked.size(), 2u);
  EXPECT_EQ(back->revoked[0].serial, "0A");
  EXPECT_EQ(back->revoked[1].serial, "F0C1D2");
  EXPECT_EQ(back->revoked[1].when, now - days{1});
  const auto other = make_ca("CA", 10).value();
  EXPECT_EQ(read_crls(other, *pem).error().code, errc::crypto_certificate);
  EXPECT_EQ(read_crls(ca, "").error().code, errc::crypto_certificate);
  for (const auto* bad : {"", "0", "XY", "0102030405060708090A0B0C0D0E0F101112131415"})
    EXPECT_FALSE(make_crl(ca, {1, now, now + days{1}, {{bad, now}}})) << bad;
}

TEST(development_crl, is_found_between_those_of_other_cas) {
  const auto ca = make_ca("CA", 10).value(), other = make_ca("other CA", 10).value();
  const auto now = std::chrono::floor<seconds>(now_wall());
  const auto old = make_crl(ca, {1, now - days{2}, now + days{5}, {{"0A", now - days{2}}}}).value();
  const auto fresh = make_crl(ca, {2, now, now + days{7}, {{"0A", now}, {"0B", now}}}).value();
  const auto foreign = make_crl(other, {9, now, now + days{5}, {{"0C", now}}}).value();
  const auto file = read_crls(ca, foreign + old + "a remark\n" + fresh + foreign);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->others, foreign + foreign);
  EXPECT_EQ(file->count, 2u);
  EXPECT_EQ(file->own.number, 2u);
  EXPECT_EQ(file->own.to, now + days{7});
  ASSERT_EQ(file->own.revoked.size(), 2u) << "no entry of an older list is lost";
  EXPECT_EQ(file->own.revoked[0].when, now - days{2});
  EXPECT_FALSE(read_crls(ca, foreign)) << "its own list is missing: that may be the wrong file";
  EXPECT_FALSE(read_crls(ca, fresh + foreign.substr(0, foreign.size() / 2)))
      << "half of a list would be lost";
}

TEST(development_crl, names_only_certificates_of_its_own_ca) {
  const tls_home home;
  std::ifstream in{home.client.certificate};
  const std::string pem{std::istreambuf_iterator<char>{in}, {}};
  const auto found = certificate_of(home.ca, pem);
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->name, "urn:cpns:gw:hall");
  EXPECT_EQ(found->serial.size(), 32u);
  const auto other = make_ca("test CA", 2).value();
  EXPECT_THAT(certificate_of(other, pem).error().detail, HasSubstr("this CA has not issued the certificate"));
}

}  // namespace
}  // namespace cpns::crypto
