#pragma once
// The seam between sockets and what answers: the TLS listener knows frames, the role knows requests.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"

namespace cpns::server {

/// A gateway whose certificate was accepted (step 0).
struct peer_info {
  gateway_id gw;
  std::string uri;      ///< the SAN URI that gw_id is made from
  std::string address;  ///< host:port, for the log
  secret32 exporter;    ///< tls_exporter of this connection
};

/// The way back to the gateway. [thread-safe]
class link_port {
 public:
  virtual ~link_port() = default;
  /// One answer to one frame. Nothing happens if the connection is gone.
  virtual void send(secret_bytes answer) = 0;
  /// Closes the connection; `why` goes to the log.
  virtual void close(std::string why) = 0;
};

/// What a connection hands its frames to. Called by one thread at a time, never blocks.
class link_session {
 public:
  virtual ~link_session() = default;
  /// Frames without their length, in order. Each one is answered once by link_port::send, or the port is
  /// closed.
  virtual void frames(std::vector<bytes> batch) = 0;
  /// The last call.
  virtual void closed() = 0;
};

using session_factory = std::function<std::shared_ptr<link_session>(peer_info, std::shared_ptr<link_port>)>;

struct link_limits {
  std::uint32_t connections = 4096;          ///< further ones wait to be accepted
  std::uint32_t requests_in_flight = 256;    ///< of one connection; over it nothing is read
  std::size_t bytes_in_flight = 512 * 1024;  ///< of unanswered requests of one connection, about; as above
  std::size_t unsent_bytes =
      4 * 1024 * 1024;  ///< answers that a slow peer does not read; over it the connection ends
  milliseconds handshake_timeout = seconds{5};
  milliseconds frame_timeout = seconds{10};  ///< from the first byte of a frame to its last, and for a write
  milliseconds idle_timeout = std::chrono::minutes{5};
  milliseconds lifetime = std::chrono::hours{24};
  milliseconds probe = seconds{30};  ///< see base/keepalive.hpp
  /// What a gateway's URI has to fit one of, see base/text.hpp.
  std::shared_ptr<const std::vector<std::string>> gateway_uris =
      std::make_shared<const std::vector<std::string>>(1, "urn:cpns:gw:*");
};

}  // namespace cpns::server
