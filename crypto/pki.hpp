#pragma once
// A small certificate authority for development, tests, `cpns init` and `cpns ca`: ECDSA P-256, random serials of
// 128 bits. A production fleet uses certificates of its own and nothing of this file. All functions are thread-safe.

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::crypto {

/// A certificate and its private key (PKCS#8), both PEM. Write the key to a file of mode 0600.
struct identity {
  std::string certificate_pem;
  secret_bytes key_pem;
};

enum class certificate_usage : std::uint8_t { server, client };

struct certificate_request {
  std::string common_name;        ///< 1 to 64 bytes
  std::vector<std::string> uris;  ///< SAN URIs, unchanged: one `urn:cpns:gw:NAME` or `urn:cpns:server:NAME`
  std::vector<std::string> dns;   ///< SAN DNS names
  std::vector<std::string> ips;   ///< SAN IPv4 or IPv6 addresses in text form
  certificate_usage usage = certificate_usage::client;
  time_point not_before;  ///< cut to whole seconds
  time_point not_after;   ///< later than not_before; may be in the past, for an expired certificate
};

/// A self-signed root that may sign end certificates only (path length 0), valid from an hour before `now`
/// for `days`.
result<identity> make_ca(std::string_view common_name, unsigned days, time_point now = now_wall());

/// A certificate with its new key, signed by `ca`. crypto_certificate names the field that cannot be used.
result<identity> issue(const identity& ca, const certificate_request& request);

/// A certificate, PEM, for the public key in `csr`: the first PKCS#10 request in this PEM text, whose private key
/// stays at its owner. Names and extensions of the CSR are ignored, because `request` alone states them.
/// crypto_certificate if the signature of the CSR does not verify; crypto_weak unless its key is P-256, P-384,
/// P-521, Ed25519, or RSA of 2048 to 8192 bits, which TLS accepts here; errors of issue, too.
result<std::string> issue_for_key(const identity& ca, const certificate_request& request,
                                  std::string_view csr);

struct validity {
  time_point from;
  time_point to;
};
/// The dates of the certificate of `ca`. crypto_certificate if it is not a CA's certificate, or not that of its key.
result<validity> validity_of_ca(const identity& ca);

/// A certificate of this CA, as a revocation names it.
struct issued_certificate {
  std::string serial;  ///< upper-case hexadecimal digits, as openssl prints it
  std::string name;    ///< the SAN URI, or else the subject: printable ASCII
  time_point to;       ///< its end
};
/// The first certificate in this PEM text. crypto_certificate unless `ca` issued it.
result<issued_certificate> certificate_of(const identity& ca, std::string_view pem);

struct revoked_certificate {
  std::string serial;  ///< as of issued_certificate
  time_point when;     ///< cut to whole seconds
};
struct revocation_list {
  std::uint64_t number = 0;  ///< grows with each list of a CA
  time_point from, to;       ///< cut to whole seconds
  std::vector<revoked_certificate> revoked;
};
/// A CRL, PEM. crypto_certificate if the CA cannot sign, or a serial is not 1 to 20 bytes of hexadecimal digits.
result<std::string> make_crl(const identity& ca, const revocation_list& list);
/// What the file of `tls.crl` holds for one CA.
struct crl_file {
  revocation_list own;
  std::string others;     ///< the CRLs of other CAs, PEM; empty: none
  std::size_t count = 0;  ///< of `others`
};
/// All CRLs in this PEM text; of several that `ca` signed, `own` has the entries of all. crypto_certificate if `ca` signed
/// none of them, or if one is damaged.
result<crl_file> read_crls(const identity& ca, std::string_view pem);

}  // namespace cpns::crypto
