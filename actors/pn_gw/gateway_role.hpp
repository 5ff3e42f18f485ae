#pragma once
// The PN GW role of a process: radios, devices, secure store, server link.

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "config/schema.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::actors {

/// What a running role did with a configuration that was read again, by YAML key.
class gateway_role {
 public:
  /// Scans and connects from now on. `store` is opened by the caller and outlives the role. A transport that
  /// is refused is logged, the others go on; an error if none is left, or of the TLS files, or of the store.
  static result<std::unique_ptr<gateway_role>> start(const config::gateway_config& c,
                                                     storage::sealed_store& store);
  ~gateway_role();

  /// One line of JSON for `cpns pnes`: {"do":"list"}, {"do":"show","entity":...}, approve, reject,
  /// update, {"do":"stats"}.
  /// [thread-safe]
  std::string control(const std::string& request);
  /// Stops detecting, lets writes finish, closes links. May be called twice.
  void drain();
  /// Takes over what can change while the role runs. Not concurrently with itself.
  void reload(const config::gateway_config& c);
  /// The role cannot go on: a radio failed. [thread-safe]
  [[nodiscard]] bool failed() const;

 private:
  struct impl;
  explicit gateway_role(std::unique_ptr<impl> i);
  std::unique_ptr<impl> impl_;
};

}  // namespace cpns::actors
