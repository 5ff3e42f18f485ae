#pragma once
// Names, locks and purposes of a PNE's key files: the role and `cpns store rewrap` must agree on them.

#include <filesystem>
#include <string>

#include "base/ids.hpp"

namespace cpns::actors {

/// The data key that all devices of a `devices_file` share, in `keys_dir`.
inline std::filesystem::path shared_key_file(const std::filesystem::path& keys_dir) {
  return keys_dir / "data.key";
}
inline constexpr const char* shared_key_purpose = "pne keys";

/// Of the key file of one device.
inline std::string key_file_purpose(const entity_id& entity) { return "pne keys " + entity.text(); }

/// Held while a process uses `keys_dir`.
inline std::filesystem::path lock_of_folder(const std::filesystem::path& keys_dir) {
  return keys_dir / "lock";
}
/// Held while a process uses the key file of one device.
inline std::filesystem::path lock_of_file(std::filesystem::path key_file) { return key_file += ".lock"; }

}  // namespace cpns::actors
