#pragma once
// The TLS connection to the CPNS Server (step 0), in a thread of its own: connects, checks, reconnects with
// back-off and jitter, moves frames. Knows no actor and no message.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "crypto/tls.hpp"

namespace cpns::actors {

/// Told in the uplink's thread; must not block. Lives until the uplink is destroyed.
class uplink_listener {
 public:
  virtual ~uplink_listener() = default;
  /// Authenticated both ways. `exporter` binds proofs to this connection.
  virtual void up(secret32 exporter, std::string server) = 0;
  virtual void down(std::string why) = 0;
  virtual void frames(std::vector<secret_bytes> batch) = 0;
};

struct uplink_settings {
  std::vector<config::address> servers;  ///< tried in turn, at least one
  std::string server_uri;                ///< the only SAN URI that a server may have
  milliseconds reconnect_min{200}, reconnect_max{30'000};
  milliseconds connect_timeout{10'000};  ///< TCP and TLS together
};

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

  /// Queues one frame, 1 to 64 KiB; frames of one moment share a write. Dropped when the connection is down
  /// or has more than 4 MiB waiting: requests are kept and sent again by their owner.
  void send(bytes frame);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
