#include "crypto/pki.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>

#include "base/text.hpp"
#include "crypto/pki_internal.hpp"
#include "crypto/suite.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

using bignum_ptr = handle<BIGNUM, BN_free>;
using extension_ptr = handle<X509_EXTENSION, X509_EXTENSION_free>;
using general_name_ptr = handle<GENERAL_NAME, GENERAL_NAME_free>;
using general_names_ptr = handle<GENERAL_NAMES, GENERAL_NAMES_free>;
using request_ptr = handle<X509_REQ, X509_REQ_free>;

constexpr std::int64_t seconds_per_day = 86'400;
constexpr unsigned ca_days_max = 36'500;
constexpr int rsa_bits_min = 2048;
constexpr int rsa_bits_max = 8192;

pkey_ptr new_key() { return pkey_ptr{EVP_EC_gen("P-256")}; }

result<std::string> pem_of(X509* certificate) {
  const bio_ptr out{BIO_new(BIO_s_mem())};
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1)
    return unusable("the certificate cannot be written");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

result<secret_bytes> pem_of(EVP_PKEY* key) {
  const bio_ptr out{BIO_new(BIO_s_secmem())};
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return unusable("the private key cannot be written");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return secret_bytes{as_bytes({data, static_cast<std::size_t>(size)})};
}

result<identity> pem_of(X509* certificate, EVP_PKEY* key) {
  CPNS_TRY(auto certificate_pem, pem_of(certificate));
  CPNS_TRY(auto key_pem, pem_of(key));
  return identity{std::move(certificate_pem), std::move(key_pem)};
}

bool set_serial(X509* certificate) {
  const auto random = system_entropy().draw<16>();
  const bignum_ptr number{BN_bin2bn(random.data(), static_cast<int>(random.size()), nullptr)};
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool set_validity(X509* certificate, time_point from, time_point to) {
  return ASN1_TIME_adj(X509_getm_notBefore(certificate), unix_seconds(from), 0, 0) != nullptr &&
         ASN1_TIME_adj(X509_getm_notAfter(certificate), unix_seconds(to), 0, 0) != nullptr;
}

bool set_common_name(X509* certificate, std::string_view name) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(name.data()),
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

/// `value` is one of the constants below, never input: commas and sections have a meaning in it.
bool add(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, issuer, certificate, nullptr, nullptr, 0);
  const extension_ptr extension{X509V3_EXT_conf_nid(nullptr, &ctx, nid, value)};
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool push(GENERAL_NAMES* names, int type, ASN1_STRING* value) {
  general_name_ptr name{GENERAL_NAME_new()};
  if (!name || value == nullptr) {
    ASN1_STRING_free(value);
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), type, value);
  if (sk_GENERAL_NAME_push(names, name.get()) <= 0) return false;
  (void)name.release();
  return true;
}

ASN1_STRING* ia5(std::string_view text) {
  for (unsigned char c : text)
    if (c <= ' ' || c >= 0x7f) return nullptr;
  ASN1_IA5STRING* out = text.empty() ? nullptr : ASN1_IA5STRING_new();
  if (out != nullptr) ASN1_STRING_set(out, text.data(), static_cast<int>(text.size()));
  return out;
}

status add_alternative_names(X509* certificate, const certificate_request& r) {
  if (r.uris.empty() && r.dns.empty() && r.ips.empty()) return {};
  const general_names_ptr names{GENERAL_NAMES_new()};
  if (!names) return unusable("no memory for the alternative names");
  for (const auto& uri : r.uris)
    if (!push(names.get(), GEN_URI, ia5(uri)))
      return unusable("the URI " + shown(uri) + " is not printable ASCII without spaces");
  for (const auto& dns : r.dns)
    if (!push(names.get(), GEN_DNS, ia5(dns)))
      return unusable("the DNS name " + shown(dns) + " is not printable ASCII without spaces");
  for (const auto& ip : r.ips)
    if (!push(names.get(), GEN_IPADD, a2i_IPADDRESS(ip.c_str())))
      return unusable("the IP address " + shown(ip) + " is not IPv4 or IPv6 in text form");
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) != 1)
    return unusable("the alternative names cannot be added");
  return {};
}

result<x509_ptr> blank(std::string_view common_name, time_point from, time_point to, EVP_PKEY* key) {
  if (common_name.empty() || common_name.size() > 64) return unusable("a common name has 1 to 64 bytes");
  if (to <= from) return unusable("the end of the validity is not after its beginning");
  x509_ptr certificate{X509_new()};
  if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_serial(certificate.get()) || !set_validity(certificate.get(), from, to) ||
      X509_set_pubkey(certificate.get(), key) != 1)
    return unusable("the certificate cannot be created");
  if (!set_common_name(certificate.get(), common_name)) return unusable("the common name is not valid UTF-8");
  return certificate;
}

/// The end certificate for `key`, signed by the issuer.
result<x509_ptr> sign_for(EVP_PKEY* key, const certificate_request& request, const signing_ca& by) {
  CPNS_TRY(auto certificate, blank(request.common_name, request.not_before, request.not_after, key));
  X509* c = certificate.get();
  X509* ca = by.certificate.get();
  CPNS_CHECK(add_alternative_names(c, request));
  const char* purpose = request.usage == certificate_usage::server ? "serverAuth" : "clientAuth";
  if (X509_set_issuer_name(c, X509_get_subject_name(ca)) != 1 ||
      !add(c, ca, NID_basic_constraints, "critical,CA:FALSE") ||
      !add(c, ca, NID_key_usage, "critical,digitalSignature") || !add(c, ca, NID_ext_key_usage, purpose) ||
      !add(c, ca, NID_subject_key_identifier, "hash") ||
      !add(c, ca, NID_authority_key_identifier, "keyid:always") ||
      X509_sign(c, by.key.get(), EVP_sha256()) == 0)
    return unusable("the certificate cannot be signed");
  return certificate;
}

std::string text_param(const EVP_PKEY* key, const char* name) {
  std::array<char, 64> out{};
  std::size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, name, out.data(), out.size(), &size) != 1) return {};
  return {out.data(), size};
}

/// The keys with which TLS 1.3 signs at the security level of this policy (tls.cpp), without rare ones.
bool tls_accepts(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return true;
  if (EVP_PKEY_is_a(key, "RSA") == 1)
    return EVP_PKEY_get_bits(key) >= rsa_bits_min && EVP_PKEY_get_bits(key) <= rsa_bits_max;
  if (EVP_PKEY_is_a(key, "EC") != 1) return false;
  // TLS refuses a curve that is described by its parameters, even if they are those of P-256.
  if (text_param(key, OSSL_PKEY_PARAM_EC_ENCODING) != OSSL_PKEY_EC_ENCODING_GROUP) return false;
  const auto curve = text_param(key, OSSL_PKEY_PARAM_GROUP_NAME);
  return curve == SN_X9_62_prime256v1 || curve == SN_secp384r1 || curve == SN_secp521r1;
}

/// The public key of the request. Its signature proves that the sender has the private key.
result<pkey_ptr> proven_key(std::string_view csr) {
  const auto in = reading(as_bytes(csr));
  const request_ptr request{PEM_read_bio_X509_REQ(in.get(), nullptr, no_password, nullptr)};
  if (!request) return unusable("no PEM certificate request (PKCS#10), or a damaged one");
  pkey_ptr key{X509_REQ_get_pubkey(request.get())};
  if (!key) return unusable("the public key of the certificate request is damaged");
  if (!tls_accepts(key.get())) {
    ERR_clear_error();
    return fail(errc::crypto_weak, "the key of the certificate request; use P-256, P-384, P-521, Ed25519, "
                                   "or RSA of 2048 to 8192 bits");
  }
  const pkey_ctx_ptr check{EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr)};
  if (!check || EVP_PKEY_public_check(check.get()) != 1)
    return unusable("the public key of the certificate request is not valid");
  if (X509_REQ_verify(request.get(), key.get()) != 1)
    return unusable("the signature of the certificate request does not verify: it was changed, or signed "
                    "with another key");
  return key;
}

}  // namespace

namespace detail {

tl::unexpected<error> unusable(std::string detail) {
  ERR_clear_error();
  return fail(errc::crypto_certificate, std::move(detail));
}

result<signing_ca> signing_ca_of(const identity& ca) {
  const auto certificate_in = reading(as_bytes(ca.certificate_pem));
  x509_ptr certificate{PEM_read_bio_X509(certificate_in.get(), nullptr, no_password, nullptr)};
  if (!certificate) return unusable("the CA's certificate is not PEM");
  const auto key_in = reading(ca.key_pem.expose());
  pkey_ptr key{PEM_read_bio_PrivateKey(key_in.get(), nullptr, no_password, nullptr)};
  if (!key) return unusable("the CA's private key is not PEM, or it is encrypted");
  if (X509_check_private_key(certificate.get(), key.get()) != 1)
    return unusable("the CA's key does not belong to its certificate");
  if (X509_check_ca(certificate.get()) != 1)
    return unusable("the issuer's certificate is not a CA certificate");
  return signing_ca{std::move(certificate), std::move(key)};
}

}  // namespace detail

result<identity> make_ca(std::string_view common_name, unsigned days, time_point now) {
  if (days == 0 || days > ca_days_max) return unusable("a CA is valid for 1 to 36500 days");
  const pkey_ptr key = new_key();
  if (!key) return unusable("the P-256 key cannot be created");
  const auto end = now + seconds{seconds_per_day * days};
  CPNS_TRY(const auto certificate, blank(common_name, now - std::chrono::hours{1}, end, key.get()));
  X509* c = certificate.get();
  if (X509_set_issuer_name(c, X509_get_subject_name(c)) != 1 ||
      !add(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !add(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !add(c, c, NID_subject_key_identifier, "hash") ||
      !add(c, c, NID_authority_key_identifier, "keyid:always") || X509_sign(c, key.get(), EVP_sha256()) == 0)
    return unusable("the CA's certificate cannot be signed");
  return pem_of(c, key.get());
}

result<identity> issue(const identity& ca, const certificate_request& request) {
  CPNS_TRY(const auto by, signing_ca_of(ca));
  const pkey_ptr key = new_key();
  if (!key) return unusable("the P-256 key cannot be created");
  CPNS_TRY(const auto certificate, sign_for(key.get(), request, by));
  return pem_of(certificate.get(), key.get());
}

result<std::string> issue_for_key(const identity& ca, const certificate_request& request,
                                  std::string_view csr) {
  CPNS_TRY(const auto by, signing_ca_of(ca));
  CPNS_TRY(const auto key, proven_key(csr));
  CPNS_TRY(const auto certificate, sign_for(key.get(), request, by));
  return pem_of(certificate.get());
}

result<validity> validity_of_ca(const identity& ca) {
  CPNS_TRY(const auto by, signing_ca_of(ca));
  const auto from = time_of(X509_get0_notBefore(by.certificate.get()));
  const auto to = time_of(X509_get0_notAfter(by.certificate.get()));
  if (!from || !to) return unusable("the dates of the CA's certificate cannot be read");
  return validity{*from, *to};
}

}  // namespace cpns::crypto
