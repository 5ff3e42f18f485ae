#pragma once
// The TCP port of the API: TLS handshakes, and who the clients are. Private to api/.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "api/session.hpp"

namespace cpns::api::detail {

struct tls_door_hooks {
  /// A place for one more connection of this key (key_of); nullptr: there is none.
  std::function<place(const std::string& key)> admit;
  /// The connection of an identified client.
  std::function<void(tls_stream, origin)> begin;
  /// Judges all open connections: other CRLs are in use, or a minute has passed.
  std::function<void()> judge;
};

class handshake;

/// A client is known only after its handshake, and anybody can begin one. So handshakes have bounds of their own, and take
/// no place from clients that are known: over http_limits::handshakes the oldest one is closed, and each ends within
/// http_limits::handshake_time. All work runs on the io thread.
class tls_door {
 public:
  /// Opens `c.listen` with `c.tls`, which are set, and begins to accept; `io` does not run yet. While the address does not
  /// exist, this is retried. Errors of crypto::tls_source::for_api; config_range, state_conflict if it cannot be bound.
  static result<std::unique_ptr<tls_door>> open(boost::asio::io_context& io, shared_state& shared,
                                                const config::api_config& c, tls_door_hooks hooks);
  ~tls_door();
  tls_door(const tls_door&) = delete;
  tls_door& operator=(const tls_door&) = delete;

  /// Accepts no more, and ends all handshakes at once.
  void close();
  /// The bound port; 0 while not bound. [thread-safe]
  [[nodiscard]] std::uint16_t port() const;
  /// Handshakes in progress.
  [[nodiscard]] std::size_t handshakes() const;

 private:
  friend class handshake;
  struct impl;
  explicit tls_door(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::api::detail
