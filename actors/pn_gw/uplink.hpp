#pragma once
// The TLS connection to the CPNS Server (step 0), in a thread of its own: connects, checks, reconnects with
// back-off and jitter, moves frames. Knows no actor and no message.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "crypto/tls.hpp"

namespace cpns::actors {

/// Numbers the connections of one uplink, from 1 on. What was made for one connection, such as a proof, never
/// travels on another one.
using connection_number = std::uint64_t;

/// How a connection, or an attempt to make one, came to its end.
struct uplink_end {
  std::string why;
  /// The server ended it as TLS has it: it was idle, or the server stops. Nothing is wrong.
  bool planned = false;
};

/// Called in the uplink's thread; must not block. Lives until the uplink is destroyed.
class uplink_listener {
 public:
  virtual ~uplink_listener() = default;
  /// Authenticated both ways. `exporter` binds proofs to this connection.
  virtual void up(connection_number connection, secret32 exporter, std::string server) = 0;
  /// `connection` ended, or an attempt that never was up.
  virtual void down(connection_number connection, uplink_end end) = 0;
  /// The listener calls uplink::taken, from any thread, when it has dealt with them.
  virtual void frames(connection_number connection, std::vector<secret_bytes> batch) = 0;
};

struct uplink_settings {
  std::vector<config::address> servers;  ///< tried in turn, at least one
  std::size_t first_server = 0;          ///< begins with this one, modulo their number
  std::string server_uri;                ///< the only SAN URI that a server may have
  milliseconds reconnect_min{200}, reconnect_max{30'000};
  milliseconds connect_timeout{10'000};  ///< name, TCP and TLS together
  milliseconds next_address_after{250};  ///< an address gets this long before the next one is tried beside it
  milliseconds probe{30'000};            ///< see base/keepalive.hpp
};

/// Where a gateway begins in its list of servers, so that many gateways use all of them: from its gw_id,
/// which is a digest.
std::size_t first_server_of(const gateway_id& gw);

/// [thread-safe]
class uplink {
 public:
  /// Connects in the background at once. `contexts` is asked for each connection, in the uplink's thread.
  uplink(uplink_settings settings, crypto::tls_supply contexts, uplink_listener& listener);
  /// `context` was made by make_client_tls.
  uplink(uplink_settings settings, crypto::tls_context context, uplink_listener& listener)
      : uplink(std::move(settings), crypto::always(std::move(context)), listener) {}
  /// Closes and ends the thread; the listener is not called any more.
  ~uplink();
  uplink(const uplink&) = delete;
  uplink& operator=(const uplink&) = delete;

  /// Queues one frame, 1 to 64 KiB, for this connection alone; frames of one moment share a write. Dropped
  /// when that connection is over or has more than 4 MiB waiting: requests are kept and sent again by their
  /// owner.
  void send(connection_number connection, bytes frame);
  /// So many bytes of frames of this connection are dealt with. While more than 1 MiB of them is not, nothing
  /// more is read: a server that sends without end fills its socket and no memory of the gateway.
  void taken(connection_number connection, std::size_t size);
  /// Ends this connection, if it is still there, and connects to the next server. `why` goes to the listener.
  void give_up(connection_number connection, std::string why);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
