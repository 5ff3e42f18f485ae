#include "storage/row_locks.hpp"

#include <algorithm>
#include <functional>
#include <string_view>

namespace cpns::storage {
namespace {

bool meet(const row_hashes& a, const row_hashes& b) {
  auto x = a.begin();
  auto y = b.begin();
  while (x != a.end() && y != b.end()) {
    if (*x == *y) return true;
    if (*x < *y)
      ++x;
    else
      ++y;
  }
  return false;
}

}  // namespace

std::uint64_t hash_of(table t, byte_view row) {
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;  // spreads the tables
  return std::hash<std::string_view>{}(as_text(row)) ^ (static_cast<std::uint64_t>(t) * odd);
}

bool each_once(const row_hashes& rows) { return std::adjacent_find(rows.begin(), rows.end()) == rows.end(); }

row_locks::guard::guard(row_locks& of, row_hashes rows) : of_(of), rows_(std::move(rows)) {
  std::unique_lock lock(of_.mutex_);
  of_.freed_.wait(lock, [this] { return of_.free(rows_); });
  of_.locked_.push_back(&rows_);
}

row_locks::guard::~guard() {
  {
    const std::lock_guard lock(of_.mutex_);
    std::erase(of_.locked_, &rows_);
  }
  of_.freed_.notify_all();
}

row_locks::guard row_locks::lock(std::span<const write_batch> batches) {
  row_hashes rows;
  for (const auto& batch : batches)
    for (const auto& op : batch) rows.push_back(hash_of(op.table, op.row));
  std::sort(rows.begin(), rows.end());
  return {*this, std::move(rows)};
}

bool row_locks::free(const row_hashes& rows) const {
  return std::none_of(locked_.begin(), locked_.end(),
                      [&rows](const row_hashes* other) { return meet(*other, rows); });
}

}  // namespace cpns::storage
