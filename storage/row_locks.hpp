#pragma once
// Rows that a write of this process is about to change.

#include <condition_variable>
#include <mutex>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "storage/store.hpp"

namespace cpns::storage {

/// Between the check of a row's version and its write, no other thread may write the row. One mutex for all writes would
/// do, but a thread of low priority would hold it during a sync, and every key would wait for that thread. So a write
/// locks its own rows, all at once. [thread-safe]
class row_locks {
 public:
  /// Ends with the object.
  class guard {
   public:
    guard(row_locks& of, std::set<std::pair<table, bytes>> rows) : of_(of), rows_(std::move(rows)) {}
    ~guard() { of_.unlock(rows_); }
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;

   private:
    row_locks& of_;
    const std::set<std::pair<table, bytes>> rows_;
  };

  /// Waits until no other write has a row of these batches.
  guard lock(std::span<const write_batch> batches);

 private:
  void unlock(const std::set<std::pair<table, bytes>>& rows);

  std::mutex mutex_;
  std::condition_variable freed_;
  std::set<std::pair<table, bytes>> locked_;
};

}  // namespace cpns::storage
