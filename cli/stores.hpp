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
#include "config/schema.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
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

/// The record of a user: a fresh salt, and StoredKey of the password.
protocol::user_record make_user(const crypto::suite& s, entropy& random, const user_id& user,
                                const secret_bytes& password, time_point now);
/// state_exists if the user exists.
status add_user(storage::sealed_store& store, const protocol::user_record& user);
/// Gives the user another password; state_unknown if the user does not exist. `created` stays.
status change_user(storage::sealed_store& store, protocol::user_record user);
/// state_unknown if the user does not exist. Devices that name the user as owner keep it.
status remove_user(storage::sealed_store& store, const user_id& user);
/// All users by name.
result<std::vector<protocol::user_record>> list_users(const storage::sealed_store& store);

/// nullopt if the device is not in the store.
result<std::optional<protocol::device_secret_record>> find_device(const storage::sealed_store& store,
                                                                  const entity_id& entity);
/// All devices by Entity ID.
result<std::vector<protocol::device_secret_record>> list_devices(const storage::sealed_store& store);

/// nullopt if no key was ever assigned to the entity.
result<std::optional<protocol::entity_record>> find_entity(const storage::sealed_store& store,
                                                           const entity_id& entity);
/// Entities that a gateway holds, by Entity ID; of all gateways without `holder`.
result<std::vector<protocol::entity_record>> held_entities(const storage::sealed_store& store,
                                                           const std::optional<gateway_id>& holder);
/// Takes the holder from each of them, durably. Rows written before an error stay; call it again for the rest.
status release_entities(storage::sealed_store& store, std::vector<protocol::entity_record> entities);

/// A gateway by its certificate's SAN URI, or by the 32 hexadecimal digits of gw_id. config_usage otherwise.
result<gateway_id> parse_gateway(std::string_view text);

}  // namespace cpns::cli
