#pragma once
// Interface between the TLS listener, which handles frames, and the role, which handles requests.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"
#include "server/frame_credit.hpp"
#include "server/handshake_metrics.hpp"

struct ssl_st;

namespace cpns::server {

/// A gateway whose certificate or pre-shared key was accepted (step 0).
struct peer_info {
  gateway_id gw;
  std::string uri;         ///< the SAN URI, or the identity, from which `gw` is derived
  std::string address;     ///< host:port, for the log
  secret32 exporter;       ///< tls_exporter of this connection
  std::string protocol{};  ///< the version of the protocol that both agreed on (ALPN), "cpns/1.1" or "cpns/1"
};

/// Sends to the gateway. [thread-safe]
class link_port {
 public:
  virtual ~link_port() = default;
  /// Sends one answer to one frame. Does nothing if the connection is gone.
  virtual void send(secret_bytes answer) = 0;
  /// Sends a message that answers no frame. Does nothing if the connection is gone.
  virtual void notify(bytes message) = 0;
  /// One frame needs no answer.
  virtual void needs_no_answer() = 0;
  /// Closes the connection; `why` is logged.
  virtual void close(std::string why) = 0;
};

/// Receives the frames of a connection. Called by one thread at a time; must not block.
class link_session {
 public:
  virtual ~link_session() = default;
  /// Frames without their length, in order. Each is answered once by link_port::send, is one of link_port::needs_no_answer, or the port is
  /// closed.
  virtual void frames(std::vector<bytes> batch) = 0;
  /// The last call.
  virtual void closed() = 0;
};

using session_factory = std::function<std::shared_ptr<link_session>(peer_info, std::shared_ptr<link_port>)>;

struct link_limits {
  std::uint32_t connections = 4096;        ///< further ones wait to be accepted
  std::uint32_t requests_in_flight = 256;  ///< per connection; over it reading stops
  /// Unanswered requests per connection, approximate; over it reading stops.
  std::size_t bytes_in_flight = 512 * 1024;
  /// Answers that a slow peer does not read; over it the connection is closed.
  std::size_t unsent_bytes = 4 * 1024 * 1024;
  /// Bytes of all connections together; none: no bound but those of each.
  std::shared_ptr<frame_credit> credit{};
  milliseconds handshake_timeout = seconds{5};
  milliseconds frame_timeout = seconds{10};  ///< from the first byte of a frame to its last, and for a write
  milliseconds idle_timeout = std::chrono::minutes{5};
  milliseconds lifetime = std::chrono::hours{24};
  milliseconds probe = seconds{30};  ///< see probe_when_quiet in base/sockets.hpp
  /// Patterns, of which a gateway's URI must match one; see fits() in base/text.hpp.
  std::shared_ptr<const std::vector<std::string>> gateway_uris =
      std::make_shared<const std::vector<std::string>>(1, "urn:cpns:gw:*");
  /// Why a peer is refused although the handshake accepted its certificate (tls_source::revoked) or its key (it was
  /// removed since); asked after the handshake and by listener::end_revoked. Empty: none is. [thread-safe]
  std::function<std::optional<std::string>(const ssl_st*)> revoked{};
  handshake_metrics handshakes{};
};

}  // namespace cpns::server
