#pragma once
// From a configuration to an open, sealed store; and the users, the manufactured devices and the holders in a
// server's store, for `cpns user`, `cpns device` and `cpns entity` while the server is stopped.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/result.hpp"
#include "config/memory_budget.hpp"
#include "config/schema.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "server/store_admin.hpp"
#include "storage/key_change.hpp"
#include "storage/postgres/settings.hpp"
#include "storage/sealed_store.hpp"
#include "storage/store.hpp"

namespace cpns::cli {

/// Errors of storage::open_protector.
result<std::unique_ptr<storage::key_protector>> open_protector(const config::protector_config& c);

/// The store without the layer that seals it. Errors of storage::open_rocksdb_store, or of storage::open_postgres_store
/// and storage::claim_node_folder. `memory`: of a running role; empty: the defaults.
result<std::unique_ptr<storage::store>> open_raw_store(const config::store_config& c,
                                                       config::role_kind role = config::role_kind::server,
                                                       const config::store_memory& memory = {});
/// The same for a check, while the role is stopped: it changes nothing and takes no lock. state_unknown: the folder of a
/// RocksDB store has none yet.
result<std::unique_ptr<storage::store>> open_store_for_reading(const config::store_config& c);
/// `c` must have the section `postgresql`.
storage::postgres_settings database_of(const config::store_config& c);
/// For messages: the folder, or "the database".
std::string place_of_store(const config::store_config& c);

/// A store with the layer that seals it, destroyed in the right order. Movable.
class opened_store {
 public:
  /// Errors of open_protector, storage::open_rocksdb_store and storage::sealed_store::open. store_key names the
  /// file of next_key_file if that one opens the store.
  static result<opened_store> open(const config::store_config& store,
                                   const config::protector_config& protector,
                                   config::role_kind role = config::role_kind::server,
                                   const config::store_memory& memory = {});
  [[nodiscard]] storage::sealed_store& sealed() { return *sealed_; }
  /// Changes the key-encryption key of this store while a role uses it. [thread-safe]
  [[nodiscard]] storage::key_changer& keys() { return *keys_; }
  /// It accepts no more writes; the role has to end.
  [[nodiscard]] bool lost() const { return under_->health().lost; }

 private:
  opened_store() = default;
  std::unique_ptr<storage::store> under_;
  std::unique_ptr<storage::sealed_store> sealed_;
  std::unique_ptr<storage::key_changer> keys_;
};

/// The default path of the role's socket is too long, so the role goes without its API.
bool has_no_room_for_socket(const config::api_config& c);

/// Opens the store of a server that is not running. store_locked if it runs; config_usage for a memory store,
/// which only the server itself sees.
result<opened_store> open_server_store(const config::server_config& c);
/// The same by its configuration file. Errors of config::load_server, too.
result<opened_store> open_server_store(const std::filesystem::path& config_file);

using server::add_user;
using server::change_user;
using server::find_device;
using server::find_entity;
using server::held_entities;
using server::list_devices;
using server::list_users;
using server::make_user;
using server::parse_gateway;
using server::release_entities;
using server::remove_user;

}  // namespace cpns::cli
