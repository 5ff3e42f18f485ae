#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <ctime>

#include "base/private_file.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto::detail {
namespace {

constexpr std::size_t file_size_max = 1 << 20;

tl::unexpected<error> unusable(std::string_view what, const std::string& path, std::string_view why) {
  ERR_clear_error();
  return fail(errc::crypto_certificate, std::string{what} + " file " + path + " " + std::string{why});
}

result<secret_bytes> read_pem(std::string_view what, const std::string& path, readers who) {
  if (path.empty()) return fail(errc::config_missing, std::string{what} + " file is not given");
  auto content = read_private_file(path, file_size_max, who);
  if (!content) return fail(content.error().code, std::string{what} + " file " + content.error().detail);
  return content;
}

result<std::vector<x509_ptr>> read_certificates(std::string_view what, const std::string& path) {
  CPNS_TRY(const auto content, read_pem(what, path, readers::anybody));
  const auto in = reading(content.expose());
  std::vector<x509_ptr> out;
  while (in) {
    x509_ptr next{PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr)};
    if (!next) break;
    out.push_back(std::move(next));
  }
  // OpenSSL reports the end of the list as an error; any other error is damage.
  const unsigned long code = ERR_peek_last_error();
  if (out.empty()) return unusable(what, path, "holds no PEM certificate");
  if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
    return unusable(what, path, "holds a damaged PEM certificate");
  ERR_clear_error();
  return out;
}

result<pkey_ptr> read_key(const std::string& path) {
  CPNS_TRY(const auto content, read_pem("private key", path, readers::owner));
  const auto in = reading(content.expose());
  pkey_ptr key{in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_password, nullptr) : nullptr};
  if (!key) return unusable("private key", path, "holds no PEM private key, or an encrypted one");
  return key;
}

/// The certificates in it belong to somebody else.
void free_stack(STACK_OF(X509) * all) { sk_X509_free(all); }

status check_usage(X509* own, const std::string& path, tls_role role) {
  const bool server = is_server(role);
  const auto usage = X509_get_extended_key_usage(own);
  if (usage == UINT32_MAX || (usage & (server ? XKU_SSL_SERVER : XKU_SSL_CLIENT)) == 0)
    return unusable("certificate", path,
                    server ? "is not for a server (extended key usage serverAuth)"
                           : "is not for a client (extended key usage clientAuth)");
  return {};
}

status check_pair(X509* own, EVP_PKEY* key, const tls_files& files) {
  if (X509_check_private_key(own, key) == 1) return {};
  return unusable(
      "private key", files.key,
      "does not belong to the certificate in " + files.certificate +
          "; put the key there that the certificate was made for, or the certificate of this key");
}

}  // namespace

std::optional<time_point> time_of(const ASN1_TIME* t) {
  std::tm when{};
  if (t == nullptr || ASN1_TIME_to_tm(t, &when) != 1) return std::nullopt;
  return time_point{seconds{::timegm(&when)}};
}

std::string date_text(time_point t) {
  const std::time_t at = unix_seconds(t);
  std::tm when{};
  if (::gmtime_r(&at, &when) == nullptr) return "an unreadable date";
  std::array<char, 64> out{};
  const auto n = std::strftime(out.data(), out.size(), "%Y-%m-%d %H:%M:%S UTC", &when);
  return {out.data(), n};
}

std::string date_text(const ASN1_TIME* t) {
  const auto when = time_of(t);
  return when ? date_text(*when) : "an unreadable date";
}

status check_time(const X509* own, const std::string& path, time_point when) {
  std::time_t at = unix_seconds(when);
  if (X509_cmp_time(X509_get0_notAfter(own), &at) < 0)
    return unusable("certificate", path,
                    "expired on " + date_text(X509_get0_notAfter(own)) + "; issue a new one");
  if (X509_cmp_time(X509_get0_notBefore(own), &at) > 0)
    return unusable("certificate", path,
                    "is not valid before " + date_text(X509_get0_notBefore(own)) + "; check the clock");
  return {};
}

result<tls_material> load_material(const tls_files& files, tls_role role, crl_choice* again) {
  ERR_clear_error();
  tls_material m;
  CPNS_TRY(m.roots, read_certificates("CA", files.ca));
  CPNS_TRY(m.chain, read_certificates("certificate", files.certificate));
  CPNS_CHECK(check_usage(m.chain.front().get(), files.certificate, role));
  CPNS_TRY(m.key, read_key(files.key));
  CPNS_CHECK(check_pair(m.chain.front().get(), m.key.get(), files));
  if (files.crl.empty()) return m;
  auto lists = crl_set::read(files, m.roots, m.chain, again != nullptr ? again->before : nullptr);
  if (lists) {
    m.crls = std::move(*lists);
  } else if (again != nullptr && again->before) {
    m.crls = again->before;
    again->fault = fail(std::move(lists).error());
  } else {
    return fail(std::move(lists).error());
  }
  return m;
}

}  // namespace cpns::crypto::detail

namespace cpns::crypto {

using namespace detail;

std::vector<tls_file_fault> check_tls_files(const tls_files& files, tls_role role) {
  ERR_clear_error();
  std::vector<tls_file_fault> out;
  const auto note = [&out](std::string tls_files::*file, const auto& checked) {
    if (!checked) out.push_back({file, checked.error()});
    return checked.has_value();
  };
  const auto chain = read_certificates("certificate", files.certificate);
  const auto key = read_key(files.key);
  const auto roots = read_certificates("CA", files.ca);
  note(&tls_files::ca, roots);
  if (note(&tls_files::certificate, chain)) {
    X509* own = chain->front().get();
    note(&tls_files::certificate, check_usage(own, files.certificate, role));
    if (!is_server(role)) note(&tls_files::certificate, only_uri(own, "the own"));
  }
  if (note(&tls_files::key, key) && chain)
    note(&tls_files::key, check_pair(chain->front().get(), key->get(), files));
  if (!files.crl.empty() && roots && chain)
    note(&tls_files::crl, crl_set::read(files, *roots, *chain, nullptr));
  return out;
}

result<std::string> uri_of_certificate(const std::string& certificate_file) {
  ERR_clear_error();
  CPNS_TRY(const auto chain, read_certificates("certificate", certificate_file));
  return only_uri(chain.front().get(), "the");
}

status check_issuer(const std::string& certificate_file, const std::string& ca_file, tls_role role) {
  ERR_clear_error();
  CPNS_TRY(const auto chain, read_certificates("certificate", certificate_file));
  CPNS_TRY(const auto roots, read_certificates("CA", ca_file));
  const handle<X509_STORE, X509_STORE_free> trusted{X509_STORE_new()};
  const handle<X509_STORE_CTX, X509_STORE_CTX_free> check{X509_STORE_CTX_new()};
  const handle<STACK_OF(X509), free_stack> between{sk_X509_new_null()};
  bool good = trusted && check && between;
  for (const auto& root : roots) good = good && X509_STORE_add_cert(trusted.get(), root.get()) == 1;
  for (std::size_t i = 1; i < chain.size(); ++i)
    good = good && sk_X509_push(between.get(), chain[i].get()) > 0;
  good = good && X509_STORE_CTX_init(check.get(), trusted.get(), chain.front().get(), between.get()) == 1 &&
         X509_STORE_CTX_set_purpose(check.get(),
                                    is_server(role) ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT) == 1;
  if (!good) {
    ERR_clear_error();
    return fail(errc::internal, "OpenSSL cannot check a certificate");
  }
  X509_STORE_CTX_set_flags(check.get(), X509_V_FLAG_NO_CHECK_TIME);
  if (X509_verify_cert(check.get()) == 1) return {};
  const int why = X509_STORE_CTX_get_error(check.get());
  ERR_clear_error();
  return fail(errc::crypto_certificate, X509_verify_cert_error_string(why));
}

}  // namespace cpns::crypto
