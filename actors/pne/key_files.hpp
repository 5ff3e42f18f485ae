#pragma once
// Names, locks and purposes of the files with a PNE's keys: the role and the commands must agree on them.

#include <algorithm>
#include <filesystem>
#include <string>

#include "base/ids.hpp"

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
