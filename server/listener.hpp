#pragma once
// Accepts gateways on one address, in its own threads. Does not interpret the frames.

#include <memory>

#include "base/result.hpp"
#include "crypto/tls.hpp"
#include "server/link.hpp"

namespace cpns::server {

class listener {
 public:
  /// Binds and starts accepting. Port 0: chosen by the system. `contexts` is called per connection; if it
  /// fails, the connection is closed unanswered. While `host` is not an address of this machine, or does not
  /// resolve, binding is retried. config_range if `host` is not an address or a name, state_conflict if it cannot
  /// be bound.
  static result<std::unique_ptr<listener>> start(const std::string& host, std::uint16_t port,
                                                 crypto::tls_supply contexts, const link_limits& limits,
                                                 session_factory make_session);
  static result<std::unique_ptr<listener>> start(const std::string& host, std::uint16_t port,
                                                 crypto::tls_context tls, const link_limits& limits,
                                                 session_factory make_session) {
    return start(host, port, crypto::always(std::move(tls)), limits, std::move(make_session));
  }
  /// stop(). A link_port may outlive the listener; it does nothing then.
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// The bound host:port; port 0 while not bound. [thread-safe]
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const;
  /// Whether it is bound. [thread-safe]
  [[nodiscard]] bool listening() const;
  /// Number of connections, including those in their handshake. [thread-safe]
  [[nodiscard]] std::size_t connections() const;
  /// Applies to new connections. [thread-safe]
  void set_limits(const link_limits& limits);
  /// Ends each connection that link_limits::revoked refuses now. Returns before it is done. [thread-safe]
  void end_revoked();
  /// Stops accepting, and closes connections that cannot be asked to leave (connection::leave). drain() may follow.
  /// [thread-safe]
  void leave();
  /// Returns once all connections are closed, or after `timeout`. [thread-safe]
  void wait_empty(milliseconds timeout);
  /// Ends all connections as drain() does, but does not wait. [thread-safe]
  void end_all();
  /// Stops accepting and reading; returns once every frame read so far is answered and all connections are
  /// closed, or after `timeout`. [thread-safe]
  void drain(milliseconds timeout);
  /// Closes every connection at once and joins the threads; a link_port does nothing afterwards.
  void stop();
  /// Calls `tick` every `period` on one of its threads, until stop().
  void every(milliseconds period, std::function<void()> tick);

 private:
  struct impl;
  explicit listener(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::server
