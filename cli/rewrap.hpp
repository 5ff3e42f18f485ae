#pragma once
// `cpns store rewrap`: another key-encryption key for the store of a stopped role, or for the key files of a PNE.
//
// The order of the durable steps lets each crash be repaired by the same command:
//   1. the new key is on the disk, before any data key depends on it
//   2. each data key is wrapped for it, by one write for each (storage/rewrap.hpp)
//   3. with `in_place` alone: a copy of the old key is on the disk as FILE.old
//   4. with `in_place` alone: the new key, FILE.rewrap until now, is renamed to FILE
// The intent in the audit trail comes before 1, its outcome after the last step.
// Between 2 and 4 the role opens with FILE.rewrap alone. Its start and the other commands say so (stores.hpp).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "config/schema.hpp"
#include "storage/rewrap.hpp"

namespace cpns::cli {

enum class rewrap_step : std::uint8_t { key_made, data_key_wrapped, old_key_kept, renamed };

/// One of the three: new_file, new_passphrase_file, in_place.
struct rewrap_options {
  std::filesystem::path config;               ///< of any role
  std::filesystem::path new_file;             ///< a key file; created if missing
  std::filesystem::path new_passphrase_file;  ///< its first line
  bool in_place = false;                      ///< a random key takes the place of the configured key file
  std::function<void(std::size_t done, std::size_t all)> progress{};  ///< data keys
  std::function<void(rewrap_step)>
      at{};  ///< called after each durable step; a test may stop the process there
};

struct rewrap_outcome {
  config::role_kind role{};
  std::string place;  ///< the folder of the store; of a PNE, keys_dir or its first key file
  config::protector_config before;
  config::protector_config now;   ///< required in the configuration; equal to `before` with in_place
  bool key_made = false;          ///< the key file did not exist
  std::filesystem::path old_key;  ///< where the old key or passphrase is now
  storage::rewrap_report keys;
};

/// config_usage unless exactly one new key is named; store_locked if the role runs; state_unknown if the role has no
/// data key yet; errors of the configuration, of open_protector and of storage::rewrap_keys.
result<rewrap_outcome> rewrap_role(const rewrap_options& o);

/// Fails with store_key if `cpns store rewrap --in-place` was interrupted after it rewrapped a key file of this PNE.
/// The role would start without the devices that are rewrapped.
status check_rewrap_finished(const config::pne_config& c);

}  // namespace cpns::cli
