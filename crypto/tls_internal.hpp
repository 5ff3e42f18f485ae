#pragma once
// What the files of the TLS policy share. Private to this room.

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/openssl_handles.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto::detail {

/// Which end a context is for.
enum class tls_role : std::uint8_t { server, client };

struct tls_material {
  std::vector<x509_ptr> roots;  ///< one or more
  std::vector<x509_ptr> chain;  ///< one's own certificate first
  pkey_ptr key;
};

/// Reads and checks the three files, but not whether the certificate is in its time; errors as in tls.hpp.
result<tls_material> load_material(const tls_files& files, tls_role role);
/// The context of the policy from them; errors the same.
result<tls_context> make_context(const tls_files& files, tls_role role);
/// crypto_certificate if `own`, read from `path`, is expired or not yet valid at `when`.
status check_time(const X509* own, const std::string& path, time_point when);
/// For people.
std::string date_text(const ASN1_TIME* t);

/// The only SAN URI, 1 to 255 printable ASCII characters; `whose` ("the own") begins the sentence of an
/// error, peer_identity.
result<std::string> only_uri(const X509* certificate, const std::string& whose);

/// The SAN URI or else the subject of a certificate that is trusted for nothing: printable ASCII, at most 80
/// characters.
std::string shown_name(X509* certificate);

/// Remembers which certificate did not verify, for tls_refusal; freed with `ssl`. Throws nothing.
void note_refused(SSL* ssl, X509* certificate, int verify_error) noexcept;
/// " (NAME, valid until DATE)", or nothing.
std::string refused_note(const SSL* ssl);

}  // namespace cpns::crypto::detail
