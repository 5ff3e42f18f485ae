#pragma once
// Shared by the source files of the TLS policy and the PKI. Private to crypto/.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/crl_set.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto::detail {

constexpr bool is_server(tls_role role) { return role == tls_role::server || role == tls_role::api_server; }

/// What a side of the server link offers, as RFC 7301 section 3.1 writes it: length, then name. In an object of its own: a
/// program of the tests that has another definition is another release.
extern const std::string_view link_alpn_list;
/// The ALPN that the policy of this connection wants; that of the server link without one.
std::string wanted_alpn(const SSL* ssl);

struct tls_material {
  std::vector<x509_ptr> roots;  ///< one or more
  std::vector<x509_ptr> chain;  ///< the own certificate first
  pkey_ptr key;
  crl_set_ptr crls;  ///< null without a CRL file
};

/// For a role that reads its files again: a CRL file that cannot be used must not keep it from a new certificate.
struct crl_choice {
  crl_set_ptr before;  ///< stay in use if the file cannot be used; null: the error is that of the call
  status fault{};      ///< why the file cannot be used
};

/// Reads and checks the files, except for the dates of the certificate; errors as in tls.hpp.
result<tls_material> load_material(const tls_files& files, tls_role role, crl_choice* again = nullptr);
/// A context with the policy, without certificates and without a check of the peer.
result<tls_context> new_context(tls_role role);
/// Whether the own side offers a pre-shared key (tls_psk.hpp). `ssl` may be null.
bool is_psk_client(const SSL* ssl);
/// A context with the policy from the files; same errors.
result<tls_context> make_context(const tls_files& files, tls_role role, crl_choice* again = nullptr);
/// crypto_certificate if `own`, read from `path`, is expired or not yet valid at `when`.
status check_time(const X509* own, const std::string& path, time_point when);
/// nullopt if it cannot be read.
std::optional<time_point> time_of(const ASN1_TIME* t);
/// "2026-11-24 21:12:06 UTC", or "an unreadable date".
std::string date_text(const ASN1_TIME* t);
std::string date_text(time_point t);

/// A warning is due when at most this time is left; under `ends_very_soon` it is an error.
inline constexpr milliseconds ends_soon = std::chrono::days{30};
inline constexpr milliseconds ends_very_soon = std::chrono::days{3};
/// A certificate on the way from the own one to the CA that the own side trusts, or a CRL.
enum class link_part : std::uint8_t { own, intermediate, ca, crl };
struct certificate_end {
  link_part part = link_part::own;
  time_point at;
  std::string ca{};  ///< of a CRL: the name of its CA
  milliseconds soon = ends_soon, very_soon = ends_very_soon;
};
/// The own certificate, the intermediates that issued it, the CA if it is in the CA file, and the CRLs.
std::vector<certificate_end> ends_of(SSL_CTX* context);
/// The file, the end, the days left, and the remedy.
std::string end_text(const certificate_end& end, const tls_files& files, time_point now);
/// The file that has this part.
std::string tls_files::*file_of(link_part part);
/// The file, the serial number and the remedy, if the own certificate or an intermediate is in the CRLs.
std::optional<std::string> own_revocation(SSL_CTX* context, const tls_files& files);

/// The only SAN URI, 1 to 255 printable ASCII characters; peer_identity otherwise. `whose` ("the own") completes
/// "... certificate" in the detail.
result<std::string> only_uri(const X509* certificate, const std::string& whose);

/// The first 80 bytes; other than printable ASCII as '?'.
std::string printable(std::string_view text);
/// The SAN URI or else the subject of an untrusted certificate: printable ASCII, at most 80 characters.
std::string shown_name(X509* certificate);

/// Stores the name of a certificate that did not verify in `ssl`, for tls_refusal.
void note_refused(SSL* ssl, X509* certificate, int verify_error) noexcept;
/// Stores a text in `ssl` for tls_refusal. May throw bad_alloc.
void note(SSL* ssl, std::string text);
/// The text of note(), or " (NAME, valid until DATE)" of note_refused, or nothing.
std::string refused_note(const SSL* ssl);

}  // namespace cpns::crypto::detail
