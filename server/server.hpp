#pragma once
// The CPNS Server as a role: listener, sessions, assignment actors and group commit around one sealed store.

#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "config/schema.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// What a running role did with a configuration that was read again, by YAML key.
struct reload_report {
  std::vector<std::string> changed;
  std::vector<std::string> ignored;  ///< differs, but takes a restart
};

class server_role {
 public:
  /// Listens from now on, or as soon as its address is there. `store` is opened by the caller and outlives
  /// the role. Errors: the TLS files (config_file, crypto_certificate), the address (config_range,
  /// config_usage), the store. A certificate out of its time is waited for: until then connections are closed
  /// unanswered.
  static result<std::unique_ptr<server_role>> start(const config::server_config& c,
                                                    storage::sealed_store& store, clock_fn now = now_wall);
  /// Stops at once what was not drained.
  ~server_role();
  server_role(const server_role&) = delete;
  server_role& operator=(const server_role&) = delete;

  /// Its address is there and bound. [thread-safe]
  [[nodiscard]] bool listening() const;
  /// host:port as it really is, once it listens.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const;
  /// Gateways connected, those in their handshake included. [thread-safe]
  [[nodiscard]] std::size_t connections() const;
  /// Accepts nothing more, answers what was asked, closes; returns when done, at the latest after `timeout`.
  void drain(milliseconds timeout);
  /// Takes over what can change while the role runs. The log is the process's affair. [thread-safe]
  reload_report reload(const config::server_config& c);
  /// A part that nothing restarts has died: the process should end. [thread-safe]
  [[nodiscard]] bool failed() const;

 private:
  struct impl;
  explicit server_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::server
