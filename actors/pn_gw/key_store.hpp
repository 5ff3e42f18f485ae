#pragma once
// The gateway's secure store (step 8): one row per device, and the credentials of the user.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "actors/pn_gw/enrolment.hpp"
#include "actors/pn_gw/open_reports.hpp"
#include "base/result.hpp"
#include "protocol/pn_gw/device_record.hpp"
#include "storage/group_commit.hpp"

namespace cpns::actors {

/// The content of the device table.
struct stored_devices {
  std::vector<protocol::device_record> records;
  std::vector<error> unreadable;  ///< one per unreadable row; names its device if the row could be decrypted
};

/// What the actor of a device, the only one that writes its row, knows of the row: a write that names it needs no read first.
/// If the row is another one nevertheless, the write fails.
struct row_mark {
  std::optional<std::uint64_t>
      version;                ///< as of storage::sealed_op; nullopt: not known, a write replaces any
  std::uint64_t read_at = 0;  ///< as of storage::sealed_op
};
struct stored_device {
  std::optional<protocol::device_record> record;  ///< none: the store has none
  row_mark row;
};

/// storage::group_committer::submit in production; tests delay writes.
using make_durable_fn = std::function<void(storage::sealed_batch, storage::commit_done)>;

/// [thread-safe]
class key_store {
 public:
  /// `rows` and the objects that `commit` refers to outlive the key store.
  key_store(storage::sealed_store& rows, make_durable_fn commit) : rows_(rows), commit_(std::move(commit)) {}

  /// After summaries(), `to_report` of the record is set only if the server has not answered the report.
  result<std::optional<protocol::device_record>> load(const entity_id& entity) const;
  /// The same for a device that will write its record.
  [[nodiscard]] result<stored_device> read(const entity_id& entity) const;
  /// `done` is called once, when the record is durable or the write failed: from another thread, or before
  /// save() returns. It must not block. `row`: as it is now; after a failure it is not known.
  void save(const protocol::device_record& record, storage::commit_done done, row_mark row = {});
  /// The row of a record after its save() has become durable, and before the next one. `before`: of that save().
  [[nodiscard]] row_mark written(const row_mark& before) const;
  /// Erases the record of a device; a missing one is not an error. `done` as of save().
  void erase(const entity_id& entity, storage::commit_done done);
  /// The server has answered the report of the PNE, and its record will not be written for that.
  void report_answered(const entity_id& entity);
  using summary_visitor = std::function<void(protocol::device_summary)>;
  using error_visitor = std::function<void(const error&)>;
  /// Calls `each` for each record, and `unreadable` for each row that cannot be read, from several threads at once.
  /// `to_report` is set only if the server has not answered the report. The error names its device if the row could be
  /// decrypted. Fails only if the store itself cannot be read. Nobody writes meanwhile.
  status summaries(const summary_visitor& each, const error_visitor& unreadable);
  /// All records, which do not fit into memory if they are many. Fails only if the store itself cannot be read.
  result<stored_devices> all() const;

  /// The newest date in the records read or written so far: per record the last confirmation, or the expiry of
  /// its set if that is earlier, so that one day with a wrong clock does not count forever.
  [[nodiscard]] time_point newest_date() const { return time_point{milliseconds{newest_date_.load()}}; }

  [[nodiscard]] storage::store_health health() const { return rows_.health(); }

  result<std::optional<user_credentials>> credentials(const user_id& user) const;
  void save(const user_credentials& c, storage::commit_done done);

 private:
  void note_date(std::int64_t keyed_since, std::int64_t not_after) const;
  [[nodiscard]] result<settled_reports> stored_reports() const;
  /// Writes or erases the record of a device.
  void commit(const entity_id& entity, storage::sealed_op record, std::optional<std::int64_t> reports_since,
              storage::commit_done done);
  /// Writes `batch` with the row of the reports if it is due. Call with the guard held.
  void commit_with(open_reports::change change, const entity_id& entity, storage::sealed_batch batch,
                   storage::commit_done done);

  storage::sealed_store& rows_;
  make_durable_fn commit_;
  struct reports {
    /// Held while a batch is submitted, so that rows of the reports are written in their order; commit_ may call back before
    /// it returns.
    std::recursive_mutex guard;
    open_reports open;
  };
  /// Batches that end after the key store have it, too.
  const std::shared_ptr<reports> reports_ = std::make_shared<reports>();
  mutable std::atomic<std::int64_t> newest_date_{0};  ///< Unix ms
};

}  // namespace cpns::actors
