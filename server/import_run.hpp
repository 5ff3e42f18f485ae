#pragma once
// Checks the staged rows of an import, then writes its devices. Private to server/.

#include <atomic>
#include <functional>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "server/change_turns.hpp"
#include "server/import_verdicts.hpp"

namespace cpns::server {

/// What the check of an import found; nothing of it is stored yet.
struct checked_import {
  protocol::import_record record;  ///< with the counts, still `receiving`
  protocol::import_results results;
  import_verdicts verdicts;
  std::uint64_t rows = 0,
                bad_rows = 0;  ///< in the list: devices, and rows that name none, or one that came before
};

/// The long work on one import, cut into short writes with pauses, so that key assignments do not wait for it. May be
/// stopped between two rows and goes on later. Not thread-safe.
class import_run {
 public:
  struct parts {
    const import_store& store;
    const crypto::suite& suite;
    entropy& random;
    clock_fn now;
    const std::atomic<bool>& stop;
    change_turns& devices;
    std::function<void(milliseconds)> pause;                          ///< ends early once `stop` is set
    std::function<void(std::uint64_t rows)> checked;                  ///< progress of check()
    std::function<void(const protocol::import_record& now)> written;  ///< progress of apply()
  };
  explicit import_run(parts with) : with_(std::move(with)) {}

  /// state_stopping, or an error of the store.
  result<checked_import> check(const protocol::import_record& r);
  /// Writes the devices from the place of `r` on, which moves with each write, then erases the staged rows. Errors as
  /// check(): `r` is then out of date, read it again.
  status apply(protocol::import_record& r, const import_verdicts& verdicts);
  result<import_verdicts> verdicts(const protocol::import_record& r);

 private:
  struct findings;
  status check_row(const checked_import& in, const protocol::staged_device& d, findings& to);
  struct part;
  result<part> prepare(const protocol::import_record& r, const import_verdicts& verdicts,
                       const protocol::staged_block& from) const;
  status write_part(part& p) const;
  status write_some(protocol::import_record& r, const import_verdicts& verdicts,
                    const protocol::staged_block& from);
  result<bool> exists(const protocol::import_record& r, const entity_id& entity) const;

  const parts with_;
};

/// Adds to `batch` that the import is refused and its rows are erased.
void refuse_import(storage::sealed_batch& batch, protocol::import_record& r, time_point now);

}  // namespace cpns::server
