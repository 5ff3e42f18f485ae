#pragma once
// The key slots of the devices of a `devices_file`, as rows of one store.
//
// A file for each device costs two flushes of the disk per key, and blocks the actor of its device meanwhile. Rows are
// written in groups: one flush serves all keys that wait for it.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/entropy.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "metrics/registry.hpp"
#include "protocol/pne/pne_record.hpp"
#include "storage/group_commit.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::actors {

/// Opens the store in a folder, which it creates if missing.
using open_store_fn = std::function<result<std::unique_ptr<storage::store>>(const std::filesystem::path&)>;

/// The row of a device.
struct stored_slots {
  std::uint64_t version = 0;                   ///< 0: the row does not exist
  std::optional<protocol::pne_record> record;  ///< nullopt: the row does not exist
};

/// [thread-safe]
class slot_store {
 public:
  /// The store in the folder of slot_store_folder(), which `open` opens. Its data key is wrapped by `data_key`, the one
  /// that the devices of `keys_dir` share, so a change of the key-encryption key changes only that one. `random` and
  /// `measured` outlive it. Errors of `open`; store_key: the store belongs to another data key.
  static result<std::unique_ptr<slot_store>> open(const std::filesystem::path& keys_dir,
                                                  const open_store_fn& open, const secret32& data_key,
                                                  entropy& random, metrics::registry& measured);

  /// In the order of `devices`; an error names its device.
  [[nodiscard]] std::vector<result<stored_slots>> load(std::span<const entity_id> devices) const;
  [[nodiscard]] result<stored_slots> load(const entity_id& device) const;
  /// `done` is called once, when the record is durable or the write failed: from another thread, or before save()
  /// returns. It must not block. Records of one device are written in the order of the calls.
  void save(const entity_id& device, const protocol::pne_record& record, storage::commit_done done);
  /// Calls `then`, on a thread of the store, when the outcome of each earlier save() is known.
  void after_saves(std::function<void()> then);
  /// The same, but waits for it.
  void wait_for_saves();

  /// A record for a row that has the version `version`.
  struct taken {
    entity_id device;
    std::uint64_t version = 0;
    protocol::pne_record record;
  };
  /// Writes all or none, durably, and reads them back. store_conflict: a row has another version.
  status take(std::span<const taken> all);

  [[nodiscard]] storage::store_health health() const { return rows_->health(); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  slot_store(std::filesystem::path folder, std::unique_ptr<storage::store> under,
             std::unique_ptr<storage::sealed_store> rows, metrics::registry& measured);
  [[nodiscard]] error about(const entity_id& device, error e) const;

  const std::filesystem::path folder_;
  const std::unique_ptr<storage::store> under_;
  const std::unique_ptr<storage::sealed_store> rows_;
  storage::group_committer commits_;
};

}  // namespace cpns::actors
