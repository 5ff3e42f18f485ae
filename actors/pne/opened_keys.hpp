#pragma once
// The keys of all devices of a PNE process, opened and locked at its start.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/pne/device_keys.hpp"
#include "actors/pne/slot_store.hpp"
#include "base/descriptor.hpp"
#include "base/entropy.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "config/schema.hpp"
#include "metrics/registry.hpp"
#include "storage/key_protector.hpp"
#include "storage/rewrap.hpp"
#include "storage/secret_file.hpp"

namespace cpns::actors {

/// A device as the manufacturer delivers it. The Temporary Key is TK', already derived.
struct manufactured_device {
  entity_id entity;
  secret32 temporary_key;
  std::string key_file;  ///< empty: its keys are in the store in `keys_dir`
};

struct opened_keys {
  /// As fleet_parts::member.
  struct one {
    std::shared_ptr<device_keys> keys;
    result<protocol::pne_record> record;
    std::optional<storage::sealed_file>
        file{};  ///< its key file, for programs; nullopt: it is in the store, or no program reads it
  };
  std::vector<descriptor> locks;      ///< held so that no other process uses these keys
  std::unique_ptr<slot_store> slots;  ///< null without a `keys_dir`; outlives `devices`
  std::vector<one> devices;           ///< in the order of the argument
  std::vector<storage::key_place> places;
  std::size_t files = 0;  ///< devices with a key file of their own
};

/// Opens the key files and the store, and takes old key files in `keys_dir` into the store. A damaged file or row costs
/// only its own device; an error if no device has readable keys. store_locked: another process uses them.
result<opened_keys> open_keys(const config::pne_config& c, const storage::key_protector& protector,
                              const std::vector<manufactured_device>& devices,
                              const open_store_fn& open_store, entropy& random, metrics::registry& measured);

}  // namespace cpns::actors
