#pragma once
// Users and manufactured devices in a server's store: what `cpns user` and `cpns device` do once the store is
// open.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "cli/device_rows.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::cli {

/// What a user is stored as: a fresh salt, and StoredKey of the password.
protocol::user_record make_user(const crypto::suite& s, entropy& random, const user_id& user,
                                const secret_bytes& password, time_point now);

/// state_exists if there is such a user.
status add_user(storage::sealed_store& store, const protocol::user_record& user);
/// Gives the user another password; state_unknown if there is no such user. `created` stays.
status change_user(storage::sealed_store& store, protocol::user_record user);
/// state_unknown if there is no such user. Devices that name the user as owner keep it.
status remove_user(storage::sealed_store& store, const user_id& user);
/// All users by name.
result<std::vector<protocol::user_record>> list_users(const storage::sealed_store& store);

struct import_options {
  bool partial = false;          ///< keep the good rows although there are bad ones
  bool require_presence = true;  ///< of this batch
  bool replace = false;          ///< a device that is in the store already gets the new key
  bool allow_constant = false;   ///< keys that somebody chose (is_constant_key)
  bool allow_repeats = false;    ///< one key for several devices of the file
  std::string batch{};           ///< for people: where the rows came from
};
struct import_report {
  std::size_t imported = 0;
  std::vector<row_diagnostic> bad;  ///< by line: those of the file, and those that the rules above leave out
  std::vector<row_diagnostic> remarks;  ///< of imported rows, by line: an owner that is not a user
};
/// Writes all rows or, unless `partial`, none. `progress` is called with the number of rows whose keys were
/// derived.
result<import_report> import_devices(storage::sealed_store& store, const crypto::suite& s, device_rows rows,
                                     const import_options& options,
                                     const std::function<void(std::size_t)>& progress = {});

/// nullopt if there is no such device.
result<std::optional<protocol::device_secret_record>> find_device(const storage::sealed_store& store,
                                                                  const entity_id& entity);
/// All devices by Entity ID.
result<std::vector<protocol::device_secret_record>> list_devices(const storage::sealed_store& store);

}  // namespace cpns::cli
