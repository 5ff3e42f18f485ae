#pragma once
// Rows that a write of this process is about to change.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "storage/store.hpp"

namespace cpns::storage {

/// Short names of rows, sorted. Two rows may have the same one, seldom.
using row_hashes = std::vector<std::uint64_t>;

std::uint64_t hash_of(table t, byte_view row);
/// Whether no row has the short name of another one; so no row is among them twice.
bool each_once(const row_hashes& rows);

/// Between the check of a row's version and its write, no other thread may write the row. One mutex for all writes would
/// do, but a thread of low priority would hold it during a sync, and every key would wait for that thread. So a write
/// locks its own rows, all at once, by their hashes: rows with the same hash wait for each other, too. [thread-safe]
class row_locks {
 public:
  /// Ends with the object.
  class guard {
   public:
    guard(row_locks& of, row_hashes rows);
    ~guard();
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;

    [[nodiscard]] const row_hashes& rows() const { return rows_; }

   private:
    row_locks& of_;
    const row_hashes rows_;
  };

  /// Waits until no other write has a row of these batches.
  guard lock(std::span<const write_batch> batches);

 private:
  [[nodiscard]] bool free(const row_hashes& rows) const;

  std::mutex mutex_;
  std::condition_variable freed_;
  std::vector<const row_hashes*> locked_;  ///< of each write; there are few at a time
};

}  // namespace cpns::storage
