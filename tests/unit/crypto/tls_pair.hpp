#pragma once
// Two ends of one TLS connection in one process, over memory.

#include <openssl/ssl.h>

#include <filesystem>
#include <memory>
#include <string>

#include "crypto/pki.hpp"
#include "crypto/tls.hpp"

namespace cpns::crypto {

/// A folder of its own with a CA and files for both ends; removed at the end.
class tls_home {
 public:
  tls_home();
  tls_home(const tls_home&) = delete;
  tls_home& operator=(const tls_home&) = delete;
  ~tls_home();

  /// Writes `text` and returns the path.
  [[nodiscard]] std::string write(const std::string& name, std::string_view text, int mode) const;
  /// Issues by `issuer` (null: the CA of this home) and writes NAME.crt and NAME.key.
  [[nodiscard]] tls_files files(const std::string& name, certificate_request request,
                                const identity* issuer = nullptr) const;
  [[nodiscard]] const std::string& folder() const { return folder_; }

  identity ca;
  tls_files server;  ///< urn:cpns:server:one
  tls_files client;  ///< urn:cpns:gw:hall

 private:
  std::string folder_;
};

/// Valid for one day from now.
certificate_request request_for(certificate_usage usage, std::string uri);

/// `files` with the certificate signed again without extended key usage.
tls_files without_usage(const tls_home& home, const tls_files& files);

/// A peer without a policy: any TLS version, no verification, ALPN "cpns/1"; sends `files` if not null.
tls_context careless(bool server, const tls_files* files);

struct tls_pair {
  using ssl_ptr = std::unique_ptr<SSL, decltype(&SSL_free)>;

  /// Runs the handshake on both sides to its end; the client then reads, because only a read shows a TLS 1.3
  /// client that it was refused. `host`: the client checks that the server has it, unless it is empty.
  tls_pair(SSL_CTX* client_context, SSL_CTX* server_context, const std::string& host = {});

  ssl_ptr client, server;
  bool client_ok = false, server_ok = false;
  std::string client_why, server_why;  ///< tls_refusal, where it failed
};

}  // namespace cpns::crypto
