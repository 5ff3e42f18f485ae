#pragma once
// The TLS connection to the CPNS Server (step 0), in its own thread: connects, verifies the server, reconnects
// with back-off and jitter, transfers frames. Independent of actors and messages.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/pn_gw/node_list.hpp"
#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/tls.hpp"

namespace cpns::actors {

/// Numbers the connections of one uplink, from 1. A frame made for one connection (it may hold a proof) is
/// never sent on another.
using connection_number = std::uint64_t;

/// The end of a connection or of an attempt to connect.
struct uplink_end {
  std::string why;
  /// The server closed it with a TLS close_notify: idle, or the server is stopping. Not a fault.
  bool planned = false;
  bool moving = false;  ///< by uplink::leave
};

/// The server at the other end of a connection.
struct uplink_peer {
  std::string server;  ///< host:port, as configured
  crypto::peer_certificate certificate{};
  bool may_ask = false;  ///< it agreed on cpns/1.1, and may send requests to the gateway
};

/// Called in the uplink's thread; must not block. Must outlive the uplink.
class uplink_listener {
 public:
  virtual ~uplink_listener() = default;
  /// Both sides are authenticated. `exporter` binds proofs to this connection.
  virtual void up(connection_number connection, secret32 exporter, uplink_peer peer) = 0;
  /// `connection` ended, or an attempt failed.
  virtual void down(connection_number connection, uplink_end end) = 0;
  /// The listener calls uplink::taken, from any thread, once it has handled them.
  virtual void frames(connection_number connection, std::vector<secret_bytes> batch) = 0;
};

struct uplink_settings {
  std::shared_ptr<node_list> servers;  ///< not null
  std::string server_uri;              ///< the only SAN URI that a server may have
  std::string psk_identity{};          ///< not empty: the server proves the key of this identity instead
  milliseconds reconnect_min{200}, reconnect_max{30'000};
  milliseconds connect_timeout{10'000};  ///< name, TCP and TLS together
  /// The same for the first attempt if another server is known; doubles with each round over all servers.
  milliseconds first_connect_timeout{2000};
  /// Head start of an address before the next one is tried in parallel.
  milliseconds next_address_after{250};
  milliseconds probe{30'000};  ///< see probe_when_quiet in base/sockets.hpp
  /// Called in the uplink's thread after each `look_every`, connected or not; must not block. May be empty.
  std::function<void()> look{};
  milliseconds look_every{60'000};
  /// Asked after each `look`: why the connection has to end because the server's certificate was revoked since
  /// (tls_source::revoked). May be empty.
  std::function<std::optional<std::string>(const ssl_st*)> revoked{};
};

/// [thread-safe]
class uplink {
 public:
  /// Starts connecting in the background. `contexts` is called per connection, in the uplink's thread.
  uplink(uplink_settings settings, crypto::tls_supply contexts, uplink_listener& listener);
  /// `context`: from make_client_tls, or from make_psk_client_tls.
  uplink(uplink_settings settings, crypto::tls_context context, uplink_listener& listener)
      : uplink(std::move(settings), crypto::always(std::move(context)), listener) {}
  /// Closes the connection and joins the thread; the listener is not called afterwards.
  ~uplink();
  uplink(const uplink&) = delete;
  uplink& operator=(const uplink&) = delete;

  /// Queues one frame, 1 to 64 KiB, for this connection only; frames queued together share a write. Dropped if
  /// that connection has ended or has 4 MiB queued: the owner keeps its requests and repeats them.
  void send(connection_number connection, bytes frame);
  /// The listener has handled `size` bytes of frames of this connection. While more than 1 MiB is not handled,
  /// the uplink stops reading: a server that floods fills its socket, not the gateway's memory.
  void taken(connection_number connection, std::size_t size);
  /// Ends this connection if it is still up, and connects to the next server. `why` is passed to the listener.
  void give_up(connection_number connection, std::string why);
  /// Closes this connection with a TLS close_notify, if it is still up, and connects to the next server at once.
  void leave(connection_number connection);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
