#pragma once
// The client of an HTTPS service on another machine, for a role that cannot wait for it.
//
// Such a service hangs, trickles, ends in mid-answer, or is another machine than it should be. So a query has one time limit
// for all of it, from the call to the last byte; an answer has a bound; and the number of connections and of waiting
// queries has one, too. TLS 1.3 alone, with certificates on both sides; that of the service has the name of its host. Nothing
// is read from a redirection.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/tls.hpp"

namespace cpns::api {

struct https_answer {
  unsigned status = 0;
  std::string type;                      ///< Content-Type
  std::optional<seconds> retry_after{};  ///< Retry-After, if it is a number
  secret_bytes body;
};

enum class https_fault : std::uint8_t {
  busy,       ///< too many queries wait
  name,       ///< the host does not resolve
  connect,    ///< nobody listens there
  tls,        ///< a certificate, or the TLS version
  timeout,    ///< the time limit of the query
  closed,     ///< the service ended the connection before its answer was complete
  malformed,  ///< not HTTP
  oversized,  ///< the answer is larger than its bound
  stopping    ///< the client ends
};
struct https_failure {
  https_fault kind = https_fault::closed;
  std::string why;  ///< a sentence for the log, without any byte of the answer
};
using https_outcome = tl::expected<https_answer, https_failure>;

struct https_settings {
  std::string host;
  std::uint16_t port = 443;
  std::size_t connections = 4;  ///< open at a time; kept for the next query
  std::size_t waiting = 1024;   ///< queries without a connection
  std::size_t body_max = 4096;  ///< bytes
};

/// [thread-safe]
class https_client {
 public:
  /// Why an open connection must not be used again: its certificate was revoked since.
  using revocation = std::function<std::optional<std::string>(const ssl_st*)>;

  /// `contexts` is asked for each new connection (crypto::make_api_client_tls, tls_source::for_service).
  https_client(https_settings s, crypto::tls_supply contexts, revocation revoked = {});
  /// Ends all queries; their calls of `done` come before it returns.
  ~https_client();
  https_client(const https_client&) = delete;
  https_client& operator=(const https_client&) = delete;

  /// Asks for `target`, a path in the form of a request line. `done` is called once, on the client's thread, which it must
  /// not block. A query that finds its kept connection closed is sent once more.
  void get(std::string target, milliseconds limit, std::function<void(https_outcome)> done);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::api
