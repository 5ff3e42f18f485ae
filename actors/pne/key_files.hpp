#pragma once
// Names, locks and purposes of the files with a PNE's keys: the role and the commands must agree on them.

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "storage/store_folder.hpp"

namespace cpns::actors {

/// The data key that all devices of a `devices_file` share, in `keys_dir`.
inline std::filesystem::path shared_key_file(const std::filesystem::path& keys_dir) {
  return keys_dir / "data.key";
}
inline constexpr const char* shared_key_purpose = "pne keys";

/// The store with the slots of these devices, in `keys_dir`.
inline std::filesystem::path slot_store_folder(const std::filesystem::path& keys_dir) {
  return keys_dir / "store";
}
/// store_key: `keys_dir` has a store, but not the data key that opens it; a new one would open nothing. Other errors of
/// store_folder::inspect, of a folder without the data key. Changes nothing.
inline status data_key_is_there(const std::filesystem::path& keys_dir) {
  const auto key = shared_key_file(keys_dir), folder = slot_store_folder(keys_dir);
  std::error_code wrong;
  if (std::filesystem::exists(key, wrong) || wrong) return {};  // its reader names the error
  const auto store = storage::store_folder::inspect(folder);
  if (!store && store.error() == errc::state_unknown) return {};  // there is nothing to open
  CPNS_CHECK(store);
  return fail(errc::store_key, "the file " + key.string() +
                                   " is missing, and without it nothing can read the keys in " +
                                   folder.string() + ": put it back from a backup of " + keys_dir.string());
}
/// The key file in `keys_dir` that earlier versions wrote for each device. Colons are replaced: other file systems do not
/// allow them.
inline std::string key_file_name(const entity_id& entity) {
  std::string out = entity.text();
  std::replace(out.begin(), out.end(), ':', '_');
  return out + ".key";
}

/// Of the key file of one device.
inline std::string key_file_purpose(const entity_id& entity) { return "pne keys " + entity.text(); }

/// Held while a process uses `keys_dir`.
inline std::filesystem::path lock_of_folder(const std::filesystem::path& keys_dir) {
  return keys_dir / "lock";
}
/// Held while a process uses the key file of one device.
inline std::filesystem::path lock_of_file(std::filesystem::path key_file) { return key_file += ".lock"; }

}  // namespace cpns::actors
