#pragma once
// The one TLS policy, of the server link (step 0) and of the HTTP API, on OpenSSL's own types so that crypto/ needs no Asio:
//   auto made = make_server_tls(files);  boost::asio::ssl::context context{made->release()};
// TLS 1.3 only, both sides with certificates, extended key usage required, no tickets, no resumption, no early data,
// one file of trusted CAs, and one of their revocation lists. On the server link ALPN is "cpns/1.1" or "cpns/1": after a handshake call
// check_alpn, then peer_uri (server) or expect_uri (gateway). On the API ALPN is "http/1.1", if the client offers ALPN
// at all; its client calls name_host before the handshake (tls_hosts.hpp).

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

struct ssl_ctx_st;
struct ssl_st;

namespace cpns::crypto {

inline constexpr std::string_view tls_alpn = "cpns/1";
/// The server link with requests of a server to a gateway; preferred if both offer it.
inline constexpr std::string_view tls_alpn_nodes = "cpns/1.1";
inline constexpr std::string_view tls_api_alpn = "http/1.1";
inline constexpr std::string_view tls_exporter_label = "EXPERIMENTAL cpns user proof";

/// Paths of PEM files.
struct tls_files {
  std::string ca;           ///< the only trusted roots
  std::string certificate;  ///< the own certificate, then any intermediates
  std::string key;          ///< its private key, not encrypted, no access for group and others
  std::string crl{};        ///< revocation lists of the roots, PEM; empty: no certificate counts as revoked
};

/// The side of a connection: a gateway is the client of the server link; api_server and api_client are the sides of the
/// HTTP API.
enum class tls_role : std::uint8_t { server, client, api_server, api_client };

struct tls_context_free {
  void operator()(ssl_ctx_st* context) const noexcept;
};
/// Owns an SSL_CTX. `release()` hands it to boost::asio::ssl::context, whose constructor takes ownership.
using tls_context = std::unique_ptr<ssl_ctx_st, tls_context_free>;
/// Returns the context for a new connection; see tls_source.hpp.
using tls_supply = std::function<result<tls_context>()>;
/// The same context for all connections.
tls_supply always(tls_context context);

/// config_file (missing, unreadable, a key that other users may read), config_range (over 1 MiB) or
/// crypto_certificate (not PEM, key of another certificate, own certificate expired, not yet valid or for the
/// other role; a CRL that none of the CAs signed); the detail names the file and what to do.
result<tls_context> make_server_tls(const tls_files& files);
/// The gateway's side; errors as above.
result<tls_context> make_client_tls(const tls_files& files);
/// The side of a client of the HTTP API; errors as above. Call name_host for each connection.
result<tls_context> make_api_client_tls(const tls_files& files);

/// The only SAN URI of the first certificate in this file. config_file, config_range and crypto_certificate as above;
/// peer_identity if it does not have exactly one. [thread-safe]
result<std::string> uri_of_certificate(const std::string& certificate_file);
/// Whether the first certificate in this file, with the intermediates after it, leads to an authority in `ca_file`, as the
/// peer of a role checks it. Dates and revocation lists are not considered. crypto_certificate if it does not, or if a file
/// is not PEM; config_file and config_range as above. [thread-safe]
status check_issuer(const std::string& certificate_file, const std::string& ca_file, tls_role role);

struct tls_file_fault {
  std::string tls_files::*file;  ///< the faulty file
  error what;                    ///< as of make_server_tls and make_client_tls
};
/// Checks the files one by one, without creating a context; empty if they can be used. Dates of certificates
/// are not checked: they may be right tomorrow. A client's certificate has one SAN URI. [thread-safe]
std::vector<tls_file_fault> check_tls_files(const tls_files& files, tls_role role);
/// The certificates that ended, or that end within 30 days of `now`: the own one, and those of the files that
/// issued it; CRLs that ended or end soon, CAs without a CRL, and an own certificate that a CRL lists. Empty if
/// the files cannot be used. [thread-safe]
std::vector<tls_file_fault> ending_certificates(const tls_files& files, tls_role role, time_point now);

/// How soon a person has to act.
enum class urgency : std::uint8_t { none, soon, now };
struct certificate_note {
  std::string tls_files::*file;
  urgency when = urgency::none;
  std::string text;  ///< the certificate or CRL, its end, and the remedy if one is needed
};
/// One note for each certificate and CRL that the role depends on, the own one first; then the faults that
/// ending_certificates adds. Empty if the files cannot be used. [thread-safe]
std::vector<certificate_note> certificate_notes(const tls_files& files, tls_role role, time_point now);

// The functions below are for a connection whose handshake is done, in the thread that drives it.

/// The ALPN that both agreed on; empty: none.
std::string agreed_alpn(const ssl_st* ssl);
/// peer_policy unless the peer agreed on ALPN "cpns/1.1" or "cpns/1": the handshake itself accepts a peer without ALPN.
status check_alpn(const ssl_st* ssl);
/// The only SAN URI of the peer's certificate, 1 to 255 printable ASCII characters; peer_identity otherwise.
result<std::string> peer_uri(const ssl_st* ssl);
/// The only SAN URI of the own certificate, from which gw_id is derived. Errors as of peer_uri.
result<std::string> own_uri(const ssl_ctx_st* context);
/// The serial number of the peer's certificate as openssl prints it, in upper-case hexadecimal digits; empty
/// without a certificate.
std::string peer_serial(const ssl_st* ssl);
/// The peer's certificate, for people.
struct peer_certificate {
  std::string subject;                ///< at most 80 bytes of printable ASCII, as "/CN=server"
  std::string uri;                    ///< empty: it does not have exactly one
  std::string serial;                 ///< as peer_serial
  time_point not_after = time_never;  ///< time_never: unreadable
};
/// Empty texts without a certificate.
peer_certificate peer_certificate_of(const ssl_st* ssl);
/// Whether the peer's certificate shares a SAN URI with the own one.
bool has_own_uri(const ssl_st* ssl);
/// peer_identity unless peer_uri is `expected`: the gateway checks that this is the configured server.
status expect_uri(const ssl_st* ssl, std::string_view expected);
/// tls_exporter(32, "EXPERIMENTAL cpns user proof") without context (RFC 8446 section 7.5): equal at both ends
/// of one connection, different for every other connection.
result<secret32> tls_exporter(ssl_st* ssl);

/// The kind of failure of a handshake, for a count.
enum class handshake_fault : std::uint8_t {
  protocol,     ///< TLS version, ALPN, no TLS, an alert of the peer
  certificate,  ///< of the peer: missing, or it does not verify
  revoked,      ///< the peer's certificate
  psk,          ///< the peer does not have the pre-shared key
  closed        ///< by the peer
};
/// Call it before tls_refusal; `code` as there. Leaves the queue as it is.
handshake_fault fault_of(const ssl_st* ssl, unsigned long code = 0);

/// Why a handshake failed, as a sentence for the log. `code`: error_code::value() of Asio's SSL category; 0:
/// the first error of this thread's OpenSSL queue. Empties the queue. Contains no secret; in the name from a
/// refused certificate, characters that are not printable are replaced.
std::string tls_refusal(const ssl_st* ssl, unsigned long code = 0);

}  // namespace cpns::crypto
