#pragma once
// `cpns store rewrap`: another key-encryption key for the store of a stopped role, or for the key files of a PNE.
// live_rewrap.hpp has the same for a running one.
//
// The role does not start meanwhile, because its store or its key files are locked. storage/key_change.hpp has the
// steps, which a running role shares. The intent in the audit trail comes before the first step, its outcome after the
// last.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "config/schema.hpp"
#include "storage/key_change.hpp"

namespace cpns::cli {

using rewrap_step = storage::key_step;

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

/// The place of a role's data keys, for people: the folder of its store; of a PNE, keys_dir or its first key file.
std::string place_of(const config::server_config& c);
std::string place_of(const config::gateway_config& c);
std::string place_of(const config::pne_config& c);

/// store_locked if the role runs; errors of the configuration, and of storage::key_changer::change.
result<rewrap_outcome> rewrap_role(const rewrap_options& o);

/// Fails with store_key if `cpns store rewrap --in-place` was interrupted after it rewrapped a key file of this PNE.
/// The role would start without the devices that are rewrapped.
status check_rewrap_finished(const config::pne_config& c);

}  // namespace cpns::cli
