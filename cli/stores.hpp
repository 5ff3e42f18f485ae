#pragma once
// From a configuration to an open, sealed store: for the roles, and for commands that work on the server's
// store while no server runs.

#include <filesystem>
#include <memory>

#include "base/result.hpp"
#include "config/schema.hpp"
#include "storage/key_protector.hpp"
#include "storage/sealed_store.hpp"
#include "storage/store.hpp"

namespace cpns::cli {

/// store_key if the file is missing, readable by others, or does not hold a key or a passphrase.
result<std::unique_ptr<storage::key_protector>> open_protector(const config::protector_config& c);

/// The store itself, not sealed. Errors of open_rocksdb_store.
result<std::unique_ptr<storage::store>> open_store(const config::store_config& c);

/// A store with what seals it; destroyed in the right order. Movable.
class opened_store {
 public:
  static result<opened_store> open(const config::store_config& store,
                                   const config::protector_config& protector);
  [[nodiscard]] storage::sealed_store& sealed() { return *sealed_; }
  [[nodiscard]] storage::store& under() { return *under_; }
  /// It takes no more writes; the role has to end.
  [[nodiscard]] bool lost() const { return under_->health().lost; }

 private:
  opened_store() = default;
  std::unique_ptr<storage::store> under_;
  std::unique_ptr<storage::sealed_store> sealed_;
};

/// The store of a server that is not running. store_locked says what to do; a memory store cannot be opened
/// from outside: config_usage.
result<opened_store> open_server_store(const config::server_config& c);
/// The same by its configuration file. Errors of config::load_server, too.
result<opened_store> open_server_store(const std::filesystem::path& config_file);

}  // namespace cpns::cli
