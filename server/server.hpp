#pragma once
// The CPNS Server as a role: listener, sessions, assignment actors and group commit around one sealed store.

#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "config/schema.hpp"
#include "metrics/registry.hpp"
#include "server/imports.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

class administration;
class server_drain;

class server_role {
 public:
  /// Starts listening, or retries until its address exists. `store` is opened by the caller and outlives the
  /// role. Errors: the TLS files (config_file, crypto_certificate), the address (config_range, state_conflict),
  /// the store. While the certificate is outside its validity, connections are closed unanswered.
  /// `key`: for the heartbeat of a shared store (storage::key_watch); called on its thread.
  static result<std::unique_ptr<server_role>> start(const config::server_config& c,
                                                    storage::sealed_store& store, clock_fn now = now_wall,
                                                    std::function<std::string()> key = {});
  /// Closes at once all connections that are not drained.
  ~server_role();
  server_role(const server_role&) = delete;
  server_role& operator=(const server_role&) = delete;

  /// Whether its address is bound. [thread-safe]
  [[nodiscard]] bool listening() const;
  /// The bound host:port, once it listens.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::uint16_t port() const;
  /// Number of connections, including those in their handshake. [thread-safe]
  [[nodiscard]] std::size_t connections() const;
  /// For /v1/status. [thread-safe]
  boost::json::object overview() const;
  /// Reasons, as sentences; empty: the role is ready. [thread-safe]
  std::vector<std::string> not_ready() const;
  /// Users, devices, entities and gateways; lives as long as the role. [thread-safe]
  administration& admin();
  /// Imports of devices. `changes` of record_in() must outlive the role, or stop() is called before its end.
  device_imports& imports();
  /// Lives as long as the role. [thread-safe]
  [[nodiscard]] metrics::registry& counted() const;
  /// Stops accepting, asks the gateways to leave, answers their requests, closes the connections; returns when done, at the
  /// latest after `timeout`.
  void drain(milliseconds timeout);
  /// The drain, for a server that goes on running. Lives as long as the role. [thread-safe]
  [[nodiscard]] server_drain& leaving();
  /// How long it may last, by the configuration. [thread-safe]
  [[nodiscard]] milliseconds drain_limit() const;
  /// Applies the settings that may change at run time; the caller applies those of the log and the API, and tells the
  /// differences (config::differences). [thread-safe]
  void reload(const config::server_config& c);
  /// A part that is not restarted has died: the process should exit. [thread-safe]
  [[nodiscard]] bool failed() const;

 private:
  struct impl;
  explicit server_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::server
