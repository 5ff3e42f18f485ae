// Checks of one connection: the peer's identity, the agreed ALPN, and the reason of a refusal.

#include <openssl/err.h>
#include <openssl/sslerr.h>

#include <algorithm>

#include "crypto/tls_internal.hpp"

namespace cpns::crypto {
namespace detail {
namespace {

using general_names_ptr = handle<GENERAL_NAMES, GENERAL_NAMES_free>;

constexpr std::size_t shown_max = 80;

void free_note(void*, void* note, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<std::string*>(note);
}

int note_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_note);
  return index;
}

/// All SAN URIs, raw.
std::vector<std::string> uris_of(const X509* certificate) {
  std::vector<std::string> out;
  const general_names_ptr names{
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const auto* value = static_cast<const ASN1_STRING*>(
        GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type));
    if (type != GEN_URI) continue;
    out.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<std::size_t>(ASN1_STRING_length(value)));
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, shown_max)) out += c >= ' ' && c < 0x7f ? c : '?';
  return out;
}

std::string shown_name(X509* certificate) {
  if (const auto uris = uris_of(certificate); !uris.empty()) return printable(uris.front());
  char subject[shown_max * 2] = "";
  X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
  return printable(subject);
}

void note(SSL* ssl, std::string text) {
  auto kept = std::make_unique<std::string>(std::move(text));
  delete static_cast<std::string*>(SSL_get_ex_data(ssl, note_index()));
  if (SSL_set_ex_data(ssl, note_index(), kept.get()) == 1)
    (void)kept.release();
  else
    SSL_set_ex_data(ssl, note_index(), nullptr);
}

void note_refused(SSL* ssl, X509* certificate, int verify_error) noexcept try {
  if (ssl == nullptr || certificate == nullptr) return;
  std::string text = " (" + shown_name(certificate);
  if (verify_error == X509_V_ERR_CERT_HAS_EXPIRED)
    text += ", valid until " + date_text(X509_get0_notAfter(certificate));
  else if (verify_error == X509_V_ERR_CERT_NOT_YET_VALID)
    text += ", valid from " + date_text(X509_get0_notBefore(certificate));
  else if (const auto lists = crls_of(SSL_get_SSL_CTX(ssl)); lists && verify_error == X509_V_ERR_CERT_REVOKED)
    text += ", " + lists->note(certificate);
  else
    text += ", issued by " + [&] {
      char issuer[shown_max * 2] = "";
      X509_NAME_oneline(X509_get_issuer_name(certificate), issuer, sizeof issuer);
      return printable(issuer);
    }();
  note(ssl, std::move(text) + ")");
} catch (...) {
  // The refusal is logged without the name then.
}

std::string refused_note(const SSL* ssl) {
  const auto* note = static_cast<const std::string*>(SSL_get_ex_data(ssl, note_index()));
  return note != nullptr ? *note : std::string{};
}

}  // namespace detail

namespace {

using namespace detail;

std::string verify_sentence(const SSL* ssl) {
  if (is_psk_client(ssl))
    return "the server answered with a certificate instead of the pre-shared key: it takes no such keys, or "
           "is another server";
  const auto who = refused_note(ssl);
  switch (const long verdict = SSL_get_verify_result(ssl)) {
  case X509_V_ERR_CERT_HAS_EXPIRED: return "the peer's certificate has expired" + who;
  case X509_V_ERR_CERT_NOT_YET_VALID: return "the peer's certificate is not valid yet" + who;
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
  case X509_V_ERR_CERT_SIGNATURE_FAILURE: return "the peer's certificate comes from an unknown CA" + who;
  case X509_V_ERR_INVALID_PURPOSE:
    return "the peer's certificate is for another purpose (extended key usage)" + who;
  case X509_V_ERR_CERT_REVOKED: return "the peer's certificate was revoked" + who;
  case X509_V_ERR_UNABLE_TO_GET_CRL:
    return "tls.crl has no list of the CA that issued the peer's certificate; add it to the file" + who;
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH: return "the peer's certificate is for another host" + who;
  default:
    return std::string{"the peer's certificate does not verify: "} + X509_verify_cert_error_string(verdict) +
           who;
  }
}

/// The meaning of an alert from the peer (RFC 8446 section 6.2).
std::string alert_sentence(int alert, const SSL* ssl) {
  // A server that did not find the identity may say so by the first two.
  if (is_psk_client(ssl) && (alert == SSL_AD_UNKNOWN_PSK_IDENTITY || alert == SSL_AD_DECRYPT_ERROR ||
                             alert == SSL_AD_ILLEGAL_PARAMETER))
    return "the server refused the pre-shared key: it does not know this identity, or has another key of it";
  switch (alert) {
  case SSL_AD_BAD_CERTIFICATE:
    return "the peer refused our certificate: it is damaged or does not verify there";
  case SSL_AD_UNSUPPORTED_CERTIFICATE: return "the peer refused our certificate: it is for another purpose";
  case SSL_AD_CERTIFICATE_REVOKED: return "the peer refused our certificate: it was revoked";
  case SSL_AD_CERTIFICATE_EXPIRED:
    return "the peer refused our certificate: it has expired by the peer's clock";
  case SSL_AD_CERTIFICATE_UNKNOWN: return "the peer refused our certificate";
  case SSL_AD_UNKNOWN_CA:
    return "the peer refused our certificate: it does not know the CA, or has no revocation list of it";
  case SSL_AD_CERTIFICATE_REQUIRED: return "the peer requires a certificate and got none";
  case SSL_AD_PROTOCOL_VERSION: return "the peer does not speak TLS 1.3";
  case SSL_AD_NO_APPLICATION_PROTOCOL: return "the peer does not speak ALPN " + wanted_alpn(ssl);
  default: return "the peer ended the handshake with TLS alert " + std::to_string(alert);
  }
}

}  // namespace

std::string agreed_alpn(const ssl_st* ssl) {
  const unsigned char* data = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &data, &size);
  return std::string{as_text({data, size})};
}

status check_alpn(const ssl_st* ssl) {
  const auto agreed = agreed_alpn(ssl);
  if (agreed.empty()) return fail(errc::peer_policy, "the peer offers no ALPN, expected cpns/1");
  if (agreed != tls_alpn && agreed != tls_alpn_nodes)
    return fail(errc::peer_policy, "the peer chose another ALPN than cpns/1 and cpns/1.1");
  return {};
}

namespace detail {

result<std::string> only_uri(const X509* certificate, const std::string& whose) {
  auto uris = uris_of(certificate);
  if (uris.size() != 1)
    return fail(errc::peer_identity,
                whose + " certificate must have one SAN URI, it has " + std::to_string(uris.size()));
  auto& uri = uris.front();
  if (uri.empty() || uri.size() > 255)
    return fail(errc::peer_identity, "the SAN URI of " + whose + " certificate must have 1 to 255 bytes");
  for (char c : uri)
    if (c <= ' ' || c >= 0x7f)
      return fail(errc::peer_identity,
                  "the SAN URI of " + whose + " certificate is not printable ASCII: " + printable(uri));
  return std::move(uri);
}

}  // namespace detail

result<std::string> peer_uri(const ssl_st* ssl) {
  // No certificate is checked then; the policy has neither tickets nor a cache.
  if (SSL_session_reused(ssl) == 1) return fail(errc::peer_identity, "the peer resumed a session");
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return fail(errc::peer_identity, "the peer has no certificate");
  return only_uri(certificate, "the peer's");
}

std::string peer_serial(const ssl_st* ssl) {
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  return certificate != nullptr ? serial_text(certificate) : std::string{};
}

peer_certificate peer_certificate_of(const ssl_st* ssl) {
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return {};
  char subject[shown_max * 2] = "";
  X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof subject);
  return {printable(subject), only_uri(certificate, "the peer's").value_or(std::string{}),
          serial_text(certificate), time_of(X509_get0_notAfter(certificate)).value_or(time_never)};
}

bool has_own_uri(const ssl_st* ssl) {
  const X509* peer = SSL_get0_peer_certificate(ssl);
  const X509* own = SSL_get_certificate(ssl);
  if (peer == nullptr || own == nullptr) return false;
  const auto theirs = uris_of(peer), ours = uris_of(own);
  return std::find_first_of(theirs.begin(), theirs.end(), ours.begin(), ours.end()) != theirs.end();
}

result<std::string> own_uri(const ssl_ctx_st* context) {
  const X509* certificate = SSL_CTX_get0_certificate(context);
  if (certificate == nullptr) return fail(errc::crypto_certificate, "the own certificate is missing");
  return only_uri(certificate, "the own");
}

status expect_uri(const ssl_st* ssl, std::string_view expected) {
  CPNS_TRY(const auto uri, peer_uri(ssl));
  if (uri != expected)
    return fail(errc::peer_identity, "the peer is " + printable(uri) + ", expected " + printable(expected));
  return {};
}

result<secret32> tls_exporter(ssl_st* ssl) {
  secret32 out;
  // use_context 0: no context value, which in TLS 1.3 is the same as an empty one.
  if (SSL_export_keying_material(ssl, out.expose_mutable().data(), 32, tls_exporter_label.data(),
                                 tls_exporter_label.size(), nullptr, 0, 0) != 1) {
    ERR_clear_error();
    return fail(errc::crypto_failed, "the TLS exporter is unavailable before the handshake is done");
  }
  return out;
}

handshake_fault fault_of(const ssl_st* ssl, unsigned long code) {
  if (code == 0) code = ERR_peek_error();
  if (code == 0) return handshake_fault::closed;
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return handshake_fault::protocol;
  switch (ERR_GET_REASON(code)) {
  case SSL_R_CERTIFICATE_VERIFY_FAILED:
    return ssl != nullptr && SSL_get_verify_result(ssl) == X509_V_ERR_CERT_REVOKED
               ? handshake_fault::revoked
               : handshake_fault::certificate;
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return handshake_fault::certificate;
  case SSL_R_BINDER_DOES_NOT_VERIFY: return handshake_fault::psk;
  case SSL_R_UNEXPECTED_EOF_WHILE_READING: return handshake_fault::closed;
  default: return handshake_fault::protocol;
  }
}

std::string tls_refusal(const ssl_st* ssl, unsigned long code) {
  if (code == 0) code = ERR_peek_error();
  ERR_clear_error();
  if (code == 0) return "the peer closed the connection during the handshake";
  const int reason = ERR_GET_REASON(code);
  const char* text = ERR_reason_error_string(code);
  if (ERR_GET_LIB(code) != ERR_LIB_SSL)
    return std::string{"the handshake failed: "} + (text != nullptr ? text : "unknown reason");
  if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255)
    return alert_sentence(reason - SSL_AD_REASON_OFFSET, ssl);
  switch (reason) {
  case SSL_R_CERTIFICATE_VERIFY_FAILED:
    return ssl != nullptr ? verify_sentence(ssl) : "the peer's certificate does not verify";
  case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "the peer sent no certificate";
  case SSL_R_BINDER_DOES_NOT_VERIFY:
    return "the peer does not have the pre-shared key" + (ssl != nullptr ? refused_note(ssl) : std::string{});
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_VERSION_TOO_LOW: return "the peer does not speak TLS 1.3";
  case SSL_R_NO_APPLICATION_PROTOCOL: return "the peer does not offer ALPN " + wanted_alpn(ssl);
  case SSL_R_WRONG_VERSION_NUMBER:
  case SSL_R_BAD_RECORD_TYPE:
  case SSL_R_HTTP_REQUEST:
  case SSL_R_HTTPS_PROXY_REQUEST: return "the peer does not speak TLS";
  case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "the peer closed the connection during the handshake";
  default: return std::string{"the handshake failed: "} + (text != nullptr ? text : "unknown reason");
  }
}

}  // namespace cpns::crypto
