#include "storage/memory_store.hpp"

#include <mutex>

#include "storage/version_check.hpp"

namespace cpns::storage {

result<std::vector<std::optional<stored_value>>> memory_store::read(std::span<const row_name> names) const {
  std::vector<std::optional<stored_value>> out;
  out.reserve(names.size());
  const std::shared_lock lock(mutex_);
  for (const auto& n : names) {
    const auto found = rows_.find({n.table, n.row});
    out.push_back(found == rows_.end() ? std::nullopt : std::optional(found->second));
  }
  return out;
}

std::vector<status> memory_store::write(std::span<const write_batch> batches) {
  auto out = apply(batches);
  if (announces(batches, out)) board_.ring();
  return out;
}

std::vector<status> memory_store::apply(std::span<const write_batch> batches) {
  std::vector<status> out;
  const std::unique_lock lock(mutex_);
  version_check versions([this](table t, byte_view row) -> result<std::uint64_t> {
    const auto found = rows_.find({t, to_bytes(row)});
    return found == rows_.end() ? 0 : found->second.version;
  });
  for (const auto& batch : batches) {
    const auto ops = versions.admit(batch);
    out.push_back(ops ? status{} : fail(ops.error()));
    if (!ops) continue;
    for (const auto* op : *ops) {
      if (op->value)
        rows_.insert_or_assign({op->table, op->row}, stored_value{op->expected + 1, *op->value});
      else
        rows_.erase({op->table, op->row});
    }
  }
  return out;
}

status memory_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  std::vector<stored_row> found;
  {
    const std::shared_lock lock(mutex_);
    for (auto it = rows_.lower_bound({t, to_bytes(prefix)}); it != rows_.end() && it->first.first == t;
         ++it) {
      const auto& row = it->first.second;
      if (row.size() < prefix.size() || !equal(byte_view(row).first(prefix.size()), prefix)) break;
      found.push_back({row, it->second.version, it->second.value});
    }
  }
  for (const auto& row : found)
    if (!visit(row)) break;
  return {};
}

result<std::vector<stored_row>> memory_store::slice(table t, byte_view after, std::size_t limit) const {
  slice_builder out(limit);
  const std::shared_lock lock(mutex_);
  for (auto it = rows_.upper_bound({t, to_bytes(after)});
       it != rows_.end() && it->first.first == t && !out.full(); ++it)
    out.add({it->first.second, it->second.version, it->second.value});
  return out.take();
}

void memory_store::put_back(table t, byte_view row, std::optional<stored_value> value) {
  const std::unique_lock lock(mutex_);
  if (value)
    rows_.insert_or_assign({t, to_bytes(row)}, *std::move(value));
  else
    rows_.erase({t, to_bytes(row)});
}

}  // namespace cpns::storage
