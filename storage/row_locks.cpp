#include "storage/row_locks.hpp"

#include <algorithm>

namespace cpns::storage {

row_locks::guard row_locks::lock(std::span<const write_batch> batches) {
  std::set<std::pair<table, bytes>> rows;
  for (const auto& batch : batches)
    for (const auto& op : batch) rows.emplace(op.table, op.row);
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [&] {
    return locked_.empty() ||
           std::none_of(rows.begin(), rows.end(), [this](const auto& r) { return locked_.count(r) != 0; });
  });
  locked_.insert(rows.begin(), rows.end());
  return {*this, std::move(rows)};
}

void row_locks::unlock(const std::set<std::pair<table, bytes>>& rows) {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& r : rows) locked_.erase(r);
  }
  freed_.notify_all();
}

}  // namespace cpns::storage
