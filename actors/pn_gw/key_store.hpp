#pragma once
// The gateway's secure store (step 8): one row per device, and the credentials of the user.

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "actors/pn_gw/enrolment.hpp"
#include "base/result.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "storage/group_commit.hpp"

namespace cpns::actors {

/// The content of the device table.
struct stored_devices {
  std::vector<protocol::device_record> records;
  std::vector<error> unreadable;  ///< one per unreadable row; names its device if the row could be decrypted
};

/// storage::group_committer::submit in production; tests delay writes.
using make_durable_fn = std::function<void(storage::sealed_batch, storage::commit_done)>;

/// [thread-safe]
class key_store {
 public:
  /// `rows` and the objects that `commit` refers to outlive the key store.
  key_store(storage::sealed_store& rows, make_durable_fn commit) : rows_(rows), commit_(std::move(commit)) {}

  result<std::optional<protocol::device_record>> load(const entity_id& entity) const;
  /// `done` is called once, when the record is durable or the write failed: from another thread, or before
  /// save() returns. It must not block.
  void save(const protocol::device_record& record, storage::commit_done done);
  /// Erases the record of a device; a missing one is not an error. `done` as of save().
  void erase(const entity_id& entity, storage::commit_done done);
  using record_visitor = std::function<void(protocol::device_record)>;
  using error_visitor = std::function<void(const error&)>;
  /// Calls `each` for each record, and `unreadable` for each row that cannot be read, one after the other: all records of a
  /// large store do not fit into memory. The error names its device if the row could be decrypted. Fails only if the store
  /// itself cannot be read.
  status visit(const record_visitor& each, const error_visitor& unreadable) const;
  /// Fails only if the store itself cannot be read.
  result<stored_devices> all() const;

  /// The newest date in the records read or written so far: per record the last confirmation, or the expiry of
  /// its set if that is earlier, so that one day with a wrong clock does not count forever.
  [[nodiscard]] time_point newest_date() const { return time_point{milliseconds{newest_date_.load()}}; }

  [[nodiscard]] storage::store_health health() const { return rows_.health(); }

  result<std::optional<user_credentials>> credentials(const user_id& user) const;
  void save(const user_credentials& c, storage::commit_done done);

 private:
  void note_date(const protocol::device_record& r) const;

  storage::sealed_store& rows_;
  make_durable_fn commit_;
  mutable std::atomic<std::int64_t> newest_date_{0};  ///< Unix ms
};

}  // namespace cpns::actors
