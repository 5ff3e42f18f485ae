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
#include "cli/device_rows.hpp"
#include "config/schema.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "server/store_admin.hpp"
#include "storage/key_change.hpp"
#include "storage/sealed_store.hpp"
#include "storage/store.hpp"

namespace cpns::cli {

/// Errors of storage::open_protector.
result<std::unique_ptr<storage::key_protector>> open_protector(const config::protector_config& c);

/// The store as it is on the disk, without the layer that seals it. Errors of storage::open_rocksdb_store.
result<std::unique_ptr<storage::store>> open_raw_store(const config::store_config& c);

/// A store with the layer that seals it, destroyed in the right order. Movable.
class opened_store {
 public:
  /// Errors of open_protector, storage::open_rocksdb_store and storage::sealed_store::open. store_key names the
  /// file of next_key_file if that one opens the store.
  static result<opened_store> open(const config::store_config& store,
                                   const config::protector_config& protector,
                                   config::role_kind role = config::role_kind::server);
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

struct import_options {
  bool partial = false;          ///< import the good rows although there are bad ones
  bool require_presence = true;  ///< of this batch
  bool replace = false;          ///< a device that is in the store gets the new key
  bool allow_constant = false;   ///< keys that were chosen, not drawn (is_constant_key)
  bool allow_repeats = false;    ///< one key for several devices of the file
  std::string batch{};           ///< for people: where the rows came from
};
struct import_report {
  std::size_t imported = 0;
  std::vector<row_diagnostic> bad;  ///< by line: rows that cannot be read, and rows that the options refuse
  std::vector<row_diagnostic> remarks;  ///< by line, of imported rows: an owner that is not a user
};
/// Writes all rows in one batch or, unless `partial`, none.
result<import_report> import_devices(storage::sealed_store& store, const crypto::suite& s, device_rows rows,
                                     const import_options& options);

}  // namespace cpns::cli
