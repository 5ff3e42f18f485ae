#pragma once
// Step 0 without certificates, for hubs without a PKI: an external pre-shared key of TLS 1.3 (RFC 8446 section 4.2.11),
// with the rules of RFC 9257; docs/protocol.md, section "Server link".
//
// TLS calls such a connection a resumed one: it has no certificate, and OpenSSL's result of the check of certificates says
// that all is well. So each side asks psk_of() after the handshake, and nothing else, whether a key was proven, and whose.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/seldom.hpp"
#include "crypto/psk_key.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto {

/// The key of an identity at a server.
struct psk_entry {
  psk_key key;
  std::uint64_t number = 0;  ///< not 0; another one for each key that was ever put in its place
};
/// nullopt: no key of this identity. Called by threads of TLS handshakes: it must not wait for a disk. [thread-safe]
using psk_lookup = std::function<std::optional<psk_entry>(std::string_view identity)>;

/// Lets clients of this server context in by key, too. To a peer an identity without a key looks as one with another key.
status accept_psk(ssl_ctx_st* server_context, std::shared_ptr<const psk_lookup> lookup);

/// The context of a gateway with a key: TLS 1.3, cipher suites with SHA-256, an ephemeral exchange besides the key
/// (psk_dhe_ke). A server that answers with a certificate is refused. crypto_failed.
result<tls_context> make_psk_client_tls(std::string_view identity, const psk_key& key);

/// The key that the peer proved.
struct psk_proof {
  std::string identity;
  std::uint64_t number = 0;  ///< psk_entry::number at a server; 1 at a client
};
/// nullopt while the handshake runs, for a connection with certificates, and for a session that was resumed in earnest. In
/// the thread that drives the connection.
std::optional<psk_proof> psk_of(const ssl_st* ssl);
/// peer_identity unless the server proved the key of `identity`.
status expect_psk(const ssl_st* ssl, std::string_view identity);

/// The key file of a gateway: read for each new connection, so that a new key is used without a restart. A file that
/// cannot be used is logged, and the former key stays in use. [thread-safe]
class psk_source {
 public:
  /// Errors of psk_key::read; config_range if the identity does not follow its grammar. `component` names the role in the
  /// log.
  static result<std::shared_ptr<psk_source>> open(std::string component, std::string identity,
                                                  std::filesystem::path file, clock_fn timer = now_anchored);
  /// For a new connection.
  [[nodiscard]] result<tls_context> context();
  [[nodiscard]] const std::string& identity() const { return identity_; }

 private:
  psk_source(std::string component, std::string identity, std::filesystem::path file, psk_key key,
             clock_fn timer);
  const std::string component_, identity_;
  const std::filesystem::path file_;
  const clock_fn timer_;
  std::mutex guard_;
  psk_key key_;
  seldom unusable_;
};

}  // namespace cpns::crypto
