#pragma once
// The PN GW role of a process: radios, devices, secure store, server link.

#include <memory>
#include <string>
#include <vector>

#include "actors/pn_gw/password_change.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::actors {

/// Owns the actors, threads and radios of the role.
class gateway_role {
 public:
  /// Starts scanning and connecting. `store` is opened by the caller and outlives the role. A transport that
  /// fails to open is logged and left out. An error if none is left, or from the TLS files or the store.
  static result<std::unique_ptr<gateway_role>> start(const config::gateway_config& c,
                                                     storage::sealed_store& store);
  ~gateway_role();

  /// Answers one request line of `cpns pnes` with one line of JSON: {"do":"list"}, {"do":"show","entity":...},
  /// approve, reject, update (with entity), radios, stats. [thread-safe]
  std::string control(const std::string& request);
  /// Gives the gateway the new password of its user, and returns when the server has accepted a proof with it and its
  /// ClientKey is durable. Until then, and after an error, the former one is in use; errors as of password_change::set.
  /// Requests in flight go on: one that the server refuses because of the former password is signed and sent again.
  /// Blocks for at most 45 s. Not after drain(). [thread-safe]
  result<password_outcome> change_password(secret_bytes password);
  /// Stops detecting, lets writes finish, closes links. May be called twice.
  void drain();
  /// Applies the settings that may change while the role runs. Not concurrently with itself.
  void reload(const config::gateway_config& c);
  /// The role cannot continue: a radio or a central actor failed. [thread-safe]
  [[nodiscard]] bool failed() const;

 private:
  struct impl;
  explicit gateway_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
