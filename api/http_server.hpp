#pragma once
// The HTTP/1.1 server of a role: its listeners, the bounds of its connections, and the threads of its handlers.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "api/access.hpp"
#include "api/change_log.hpp"
#include "api/doors.hpp"
#include "api/events.hpp"
#include "api/handshake_ends.hpp"
#include "api/routes.hpp"
#include "base/clock.hpp"

namespace cpns::api {

struct http_limits {
  std::size_t connections = 128;
  std::size_t connections_per_peer = 32;  ///< of one user of this machine, or one certificate
  std::size_t event_readers = 64;
  /// Of one user or certificate: fewer than its connections, so that its commands always find a place.
  std::size_t event_readers_per_peer = 24;
  std::size_t workers = 4;  ///< threads that run handlers
  std::size_t probe_workers =
      2;  ///< the same for routes of probes, which answer while all other workers wait
  milliseconds request_time =
      seconds{10};  ///< from the first byte of a request to the end of its headers and body
  milliseconds idle_time = seconds{60};  ///< between requests
  /// A streamed body may keep its worker waiting for so long, for each so many bytes of it.
  milliseconds part_time = seconds{30};
  std::size_t part_size = 512 * 1024;
  milliseconds write_time = seconds{20};  ///< for an answer, or a batch of events
  milliseconds heartbeat = seconds{15};   ///< a stream of events without any sends a comment
  std::size_t handshakes = 32;            ///< in progress at a time
  milliseconds handshake_time = seconds{10};
  /// A connection with a certificate is closed after this time, so that an expired certificate loses its use.
  milliseconds certificate_time = std::chrono::hours{24};
};

/// Counters since the start.
struct http_counters {
  std::uint64_t requests = 0, problems = 0, forbidden = 0, turned_away = 0, readers_cut_off = 0;
  std::array<std::uint64_t, 6> answers{};  ///< by status / 100
  std::size_t connections = 0, event_readers = 0;
  /// At the port with TLS, by index_of(handshake_end). Connections that end before their first byte do not count.
  std::array<std::uint64_t, handshake_end_names.size()> handshake_ends{};
  std::size_t handshakes = 0;  ///< in progress
};

struct http_parts {
  std::string component;  ///< of its log lines: "server", "gateway", "pne"
  route_table routes;
  change_log* changes = nullptr;  ///< outlives the server; nullptr: changes are not recorded
  event_hub* events = nullptr;    ///< outlives the server
  http_limits limits{};
  std::shared_ptr<api::doors> doors{};        ///< may be nullptr; filled before the first request
  std::string socket_setting = "api.socket";  ///< names the Unix socket in errors
  /// Set: the level of a process at the Unix socket, in place of api.groups; every user can connect. [thread-safe]
  std::function<level(const local_peer&)> level_of{};
};

/// People, scripts and monitoring must not disturb the role's own work: the server has its own threads, and bounds on
/// connections, sizes and time. Handlers run on its worker threads and may block. [thread-safe]
class http_server {
 public:
  /// Opens the Unix socket `c.socket`, the plain port `c.probes` and the port with TLS `c.listen`, each if it is set. While
  /// the address of `c.listen` does not exist, that is retried. Errors: of access_rules::make, unix_socket::listen and
  /// crypto::tls_source::for_api; state_conflict if a port cannot be opened.
  static result<std::unique_ptr<http_server>> start(const config::api_config& c, http_parts parts);
  /// Closes all connections at once and waits for the handlers that run.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// Uses the groups and certificates of `c` for new connections, and reads the TLS files again; the listeners stay. Ends
  /// open connections whose certificate was revoked or has a lower level now. Errors of access_rules::make.
  status reload(const config::api_config& c);
  /// The port of the listener for probes, for a configured port 0; 0 without it.
  [[nodiscard]] std::uint16_t probe_port() const;
  /// That of the port with TLS; 0 without it, and while its address does not exist.
  [[nodiscard]] std::uint16_t tls_port() const;
  [[nodiscard]] http_counters counters() const;
  /// The ends of the certificates and CRLs of `c.tls`, as of crypto::tls_source::ends; empty without the port with TLS.
  [[nodiscard]] std::map<std::string, time_point> certificate_ends() const;

 private:
  struct impl;
  explicit http_server(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::api
