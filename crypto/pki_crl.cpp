// Revocation lists of the development CA.

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>

#include "base/text.hpp"
#include "crypto/pki_internal.hpp"
#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace {

using namespace detail;

using revoked_ptr = handle<X509_REVOKED, X509_REVOKED_free>;
using number_ptr = handle<ASN1_INTEGER, ASN1_INTEGER_free>;
using time_ptr = handle<ASN1_TIME, ASN1_TIME_free>;
using crl_extension_ptr = handle<X509_EXTENSION, X509_EXTENSION_free>;

constexpr std::size_t serial_bytes_max = 20;  // RFC 5280 section 4.1.2.2

time_ptr asn1_time(time_point t) { return time_ptr{ASN1_TIME_set(nullptr, unix_seconds(t))}; }

result<number_ptr> serial_number(const std::string& text) {
  auto raw = from_hex(text);
  // DER has no leading zeros.
  while (raw && raw->size() > 1 && raw->front() == 0) raw->erase(raw->begin());
  if (!raw || raw->empty() || raw->size() > serial_bytes_max)
    return unusable("the serial number " + shown(text) + " is not 1 to 20 bytes of hexadecimal digits");
  number_ptr out{ASN1_INTEGER_new()};
  if (!out || ASN1_STRING_set(out.get(), raw->data(), static_cast<int>(raw->size())) != 1)
    return unusable("no memory for a serial number");
  return out;
}

status add_entry(X509_CRL* crl, const revoked_certificate& entry) {
  CPNS_TRY(const auto number, serial_number(entry.serial));
  const auto when = asn1_time(entry.when);
  revoked_ptr revoked{X509_REVOKED_new()};
  if (!when || !revoked || X509_REVOKED_set_serialNumber(revoked.get(), number.get()) != 1 ||
      X509_REVOKED_set_revocationDate(revoked.get(), when.get()) != 1 ||
      X509_CRL_add0_revoked(crl, revoked.get()) != 1)
    return unusable("the serial number " + shown(entry.serial) + " cannot be added to the CRL");
  (void)revoked.release();
  return {};
}

bool add_extensions(X509_CRL* crl, X509* ca, std::uint64_t number) {
  const number_ptr value{ASN1_INTEGER_new()};
  if (!value || ASN1_INTEGER_set_uint64(value.get(), number) != 1 ||
      X509_CRL_add1_ext_i2d(crl, NID_crl_number, value.get(), 0, 0) != 1)
    return false;
  X509V3_CTX ctx;
  X509V3_set_ctx_nodb(&ctx);
  X509V3_set_ctx(&ctx, ca, nullptr, nullptr, crl, 0);
  const crl_extension_ptr key{
      X509V3_EXT_conf_nid(nullptr, &ctx, NID_authority_key_identifier, "keyid:always")};
  return key && X509_CRL_add_ext(crl, key.get(), -1) == 1;
}

std::uint64_t number_of(const X509_CRL* crl) {
  const number_ptr value{
      static_cast<ASN1_INTEGER*>(X509_CRL_get_ext_d2i(crl, NID_crl_number, nullptr, nullptr))};
  std::uint64_t out = 0;
  return value && ASN1_INTEGER_get_uint64(&out, value.get()) == 1 ? out : 0;
}

std::string hex_serial(const ASN1_INTEGER* number) {
  return upper_hex({ASN1_STRING_get0_data(number), static_cast<std::size_t>(ASN1_STRING_length(number))});
}

result<std::string> pem_of(const X509_CRL* crl) {
  const bio_ptr out{BIO_new(BIO_s_mem())};
  if (!out || PEM_write_bio_X509_CRL(out.get(), crl) != 1) return unusable("the CRL cannot be written");
  char* data = nullptr;
  const long size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

bool signed_by(X509_CRL* crl, X509* ca) {
  return X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(ca)) == 0 &&
         X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1;
}

/// Adds the entries of a CRL that `to` does not have; its dates and number, if they are newer.
status add_list(X509_CRL* crl, revocation_list& to) {
  const auto from = time_of(X509_CRL_get0_lastUpdate(crl)), end = time_of(X509_CRL_get0_nextUpdate(crl));
  if (!from || !end) return unusable("the dates of the CRL cannot be read");
  if (const auto number = number_of(crl); number >= to.number) {
    to.number = number;
    to.from = *from;
    to.to = *end;
  }
  auto* all = X509_CRL_get_REVOKED(crl);
  for (int i = 0; i < sk_X509_REVOKED_num(all); ++i) {
    const auto* entry = sk_X509_REVOKED_value(all, i);
    const auto when = time_of(X509_REVOKED_get0_revocationDate(entry));
    if (!when) return unusable("a date in the CRL cannot be read");
    auto serial = hex_serial(X509_REVOKED_get0_serialNumber(entry));
    if (std::none_of(to.revoked.begin(), to.revoked.end(), [&](const auto& r) { return r.serial == serial; }))
      to.revoked.push_back({std::move(serial), *when});
  }
  return {};
}

}  // namespace

result<issued_certificate> certificate_of(const identity& ca, std::string_view pem) {
  CPNS_TRY(const auto by, signing_ca_of(ca));
  const auto in = reading(as_bytes(pem));
  const x509_ptr certificate{PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr)};
  if (!certificate) return unusable("no PEM certificate, or a damaged one");
  if (X509_check_issued(by.certificate.get(), certificate.get()) != X509_V_OK ||
      X509_verify(certificate.get(), X509_get0_pubkey(by.certificate.get())) != 1)
    return unusable("this CA has not issued the certificate of " + shown_name(certificate.get()));
  const auto to = time_of(X509_get0_notAfter(certificate.get()));
  if (!to) return unusable("the dates of the certificate cannot be read");
  return issued_certificate{serial_text(certificate.get()), shown_name(certificate.get()), *to};
}

result<std::string> make_crl(const identity& ca, const revocation_list& list) {
  CPNS_TRY(const auto by, signing_ca_of(ca));
  const x509_crl_ptr crl{X509_CRL_new()};
  const auto from = asn1_time(list.from), to = asn1_time(list.to);
  if (!crl || !from || !to || X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2) != 1 ||
      X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(by.certificate.get())) != 1 ||
      X509_CRL_set1_lastUpdate(crl.get(), from.get()) != 1 ||
      X509_CRL_set1_nextUpdate(crl.get(), to.get()) != 1)
    return unusable("the CRL cannot be created");
  for (const auto& entry : list.revoked) CPNS_CHECK(add_entry(crl.get(), entry));
  X509_CRL_sort(crl.get());
  if (!add_extensions(crl.get(), by.certificate.get(), list.number) ||
      X509_CRL_sign(crl.get(), by.key.get(), EVP_sha256()) == 0)
    return unusable("the CRL cannot be signed");
  return pem_of(crl.get());
}

result<crl_file> read_crls(const identity& ca, std::string_view pem) {
  CPNS_TRY(const auto by, signing_ca_of(ca));
  const auto in = reading(as_bytes(pem));
  crl_file out;
  std::size_t own = 0;
  for (;;) {
    ERR_clear_error();
    const x509_crl_ptr crl{PEM_read_bio_X509_CRL(in.get(), nullptr, no_password, nullptr)};
    if (!crl && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) break;
    if (!crl) return unusable("no PEM CRL, or a damaged one");
    if (signed_by(crl.get(), by.certificate.get())) {
      CPNS_CHECK(add_list(crl.get(), out.own));
      ++own;
    } else {
      CPNS_TRY(const auto text, pem_of(crl.get()));
      out.others += text;
      ++out.count;
    }
  }
  ERR_clear_error();
  if (own == 0)
    return unusable(out.count > 0 ? "this CA has not signed the CRL" : "no PEM CRL, or a damaged one");
  return out;
}

}  // namespace cpns::crypto
