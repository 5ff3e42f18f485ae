#include "storage/memory_store.hpp"

#include <mutex>

namespace cpns::storage {

result<std::optional<bytes>> memory_store::get(table t, byte_view row) const {
  const std::shared_lock lock(mutex_);
  const auto found = rows_.find({t, to_bytes(row)});
  if (found == rows_.end()) return std::optional<bytes>{};
  return std::optional<bytes>(found->second);
}

status memory_store::write(const write_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  const std::unique_lock lock(mutex_);
  for (const auto& op : batch) {
    if (op.value)
      rows_.insert_or_assign({op.table, op.row}, *op.value);
    else
      rows_.erase({op.table, op.row});
  }
  return {};
}

status memory_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  std::vector<std::pair<bytes, bytes>> found;
  {
    const std::shared_lock lock(mutex_);
    for (auto it = rows_.lower_bound({t, to_bytes(prefix)}); it != rows_.end() && it->first.first == t;
         ++it) {
      const auto& row = it->first.second;
      if (row.size() < prefix.size() || !equal(byte_view(row).first(prefix.size()), prefix)) break;
      found.emplace_back(row, it->second);
    }
  }
  for (const auto& [row, value] : found)
    if (!visit(row, value)) break;
  return {};
}

result<std::vector<stored_row>> memory_store::slice(table t, byte_view after, std::size_t limit) const {
  slice_builder out(limit);
  const std::shared_lock lock(mutex_);
  for (auto it = rows_.upper_bound({t, to_bytes(after)});
       it != rows_.end() && it->first.first == t && !out.full(); ++it)
    out.add(it->first.second, it->second);
  return out.take();
}

}  // namespace cpns::storage
