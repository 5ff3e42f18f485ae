#pragma once
// Accepts gateways on one address, in threads of its own. Knows nothing of what the frames mean.

#include <memory>

#include "base/result.hpp"
#include "crypto/tls.hpp"
#include "server/link.hpp"

namespace cpns::server {

class listener {
 public:
  /// Binds and accepts from now on. Port 0: the system's choice. `contexts` is asked for each connection;
  /// while it gives none, connections are closed unanswered. An address that this machine does not have yet,
  /// or a name that nobody knows yet, is waited for. config_range if `host` is not an address or a name,
  /// config_usage if it cannot be bound.
  static result<std::unique_ptr<listener>> start(const std::string& host, std::uint16_t port,
                                                 crypto::tls_supply contexts, const link_limits& limits,
                                                 session_factory make_session);
  static result<std::unique_ptr<listener>> start(const std::string& host, std::uint16_t port,
                                                 crypto::tls_context tls, const link_limits& limits,
                                                 session_factory make_session) {
    return start(host, port, crypto::always(std::move(tls)), limits, std::move(make_session));
  }
  /// stop(). A link_port may be held longer; it does nothing then.
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// host:port as it really is; port 0 while its address is waited for. [thread-safe]
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const;
  /// It is bound. [thread-safe]
  [[nodiscard]] bool listening() const;
  /// Connections, those in their handshake included. [thread-safe]
  [[nodiscard]] std::size_t connections() const;
  /// For connections that begin from now on. [thread-safe]
  void set_limits(const link_limits& limits);
  /// Accepts no more and reads no more; returns when every frame that was read is answered and the
  /// connections are closed, or after `timeout`. [thread-safe]
  void drain(milliseconds timeout);
  /// Closes every connection at once and joins the threads; ports do nothing from now on.
  void stop();
  /// Calls `tick` on one of its threads every `period` until the end.
  void every(milliseconds period, std::function<void()> tick);

 private:
  struct impl;
  explicit listener(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::server
