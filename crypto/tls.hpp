#pragma once
// The one TLS policy of the server link (step 0), on OpenSSL's own types so that this room needs no Asio:
//   auto made = make_server_tls(files);  boost::asio::ssl::context context{made->release()};
// TLS 1.3 only, both sides with certificates, ALPN "cpns/1", extended key usage required, no tickets, no
// resumption, no early data, one file of trusted CAs. After a handshake call check_alpn, then peer_uri
// (server) or expect_uri (gateway).

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/secret.hpp"

struct ssl_ctx_st;
struct ssl_st;

namespace cpns::crypto {

inline constexpr std::string_view tls_alpn = "cpns/1";
inline constexpr std::string_view tls_exporter_label = "EXPERIMENTAL cpns user proof";

/// Paths of PEM files.
struct tls_files {
  std::string ca;           ///< the trusted roots, and nothing else is trusted
  std::string certificate;  ///< one's own, then any intermediates
  std::string key;          ///< its private key, not encrypted, no access for group and others
};

struct tls_context_free {
  void operator()(ssl_ctx_st* context) const noexcept;
};
/// Owns an SSL_CTX. `release()` hands it to boost::asio::ssl::context, whose constructor takes ownership.
using tls_context = std::unique_ptr<ssl_ctx_st, tls_context_free>;
/// The context of a connection that begins now, or why none can; see tls_source.hpp.
using tls_supply = std::function<result<tls_context>()>;
/// The same one for all connections.
tls_supply always(tls_context context);

/// config_file (missing, unreadable, a key that other users may read), config_range (over 1 MiB) or
/// crypto_certificate (not PEM, key of another certificate, own certificate expired, not yet valid or for the
/// other role); the detail names the file and what to do.
result<tls_context> make_server_tls(const tls_files& files);
/// The gateway's side; errors as above.
result<tls_context> make_client_tls(const tls_files& files);

// The functions below are for a connection whose handshake is done, in the thread that drives it.

/// peer_policy unless the peer agreed on ALPN "cpns/1": one that offers no ALPN is not stopped by the
/// handshake.
status check_alpn(const ssl_st* ssl);
/// The only SAN URI of the peer's certificate, 1 to 255 printable ASCII characters; peer_identity otherwise.
result<std::string> peer_uri(const ssl_st* ssl);
/// The only SAN URI of one's own certificate: what gw_id is made from. Errors as of peer_uri.
result<std::string> own_uri(const ssl_ctx_st* context);
/// Whether the peer's certificate has a SAN URI of one's own.
bool has_own_uri(const ssl_st* ssl);
/// peer_identity unless peer_uri is `expected`: the gateway's check that this is the server that it was told
/// to use.
status expect_uri(const ssl_st* ssl, std::string_view expected);
/// tls_exporter(32, "EXPERIMENTAL cpns user proof") without context (RFC 8446 section 7.5): the same at both
/// ends of this connection, different for every other.
result<secret32> tls_exporter(ssl_st* ssl);

/// Why a handshake failed, as a sentence for the log. `code` is what Asio's error_code::value() holds in the
/// SSL category; 0 takes the first error of this thread's OpenSSL queue. Empties the queue. Holds nothing
/// secret; a name from a refused certificate is shown with other than printable characters replaced.
std::string tls_refusal(const ssl_st* ssl, unsigned long code = 0);

}  // namespace cpns::crypto
