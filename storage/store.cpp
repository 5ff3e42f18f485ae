#include "storage/store.hpp"

#include <algorithm>
#include <set>

namespace cpns::storage {

result<std::optional<stored_value>> store::get(table t, byte_view row) const {
  const row_name name{t, to_bytes(row)};
  CPNS_TRY(auto found, read({&name, 1}));
  return std::move(found.front());
}

status store::write_one(write_batch batch) { return std::move(write({&batch, 1}).front()); }

bool announces(std::span<const write_batch> batches, const std::vector<status>& outcomes) {
  for (std::size_t i = 0; i < batches.size(); ++i)
    if (outcomes[i] &&
        std::any_of(batches[i].begin(), batches[i].end(), [](const write_op& op) { return op.announce; }))
      return true;
  return false;
}

void slice_builder::add(stored_row row) {
  size_ += row.row.size() + row.value.size();
  rows_.push_back(std::move(row));
}

error lost_race(table t, std::uint64_t expected, std::uint64_t found) {
  return {errc::store_conflict, "a row of table " + std::string(name_of(t)) + " has version " +
                                    std::to_string(found) + ", not " + std::to_string(expected)};
}

namespace {

/// Most batches have one to four ops.
bool names_a_row_twice(const write_batch& batch) {
  constexpr std::size_t few = 8;
  if (batch.size() <= few) {
    for (auto a = batch.begin(); a != batch.end(); ++a)
      for (auto b = std::next(a); b != batch.end(); ++b)
        if (a->table == b->table && a->row == b->row) return true;
    return false;
  }
  std::set<std::pair<table, std::string_view>> names;
  return !std::all_of(batch.begin(), batch.end(), [&names](const write_op& op) {
    return names.emplace(op.table, as_text(op.row)).second;
  });
}

}  // namespace

status check_batch(const write_batch& batch) {
  for (const auto& op : batch) {
    if (op.row.empty() || op.row.size() > max_row_size)
      return fail(errc::store_write_failed, "the name of a row in table " + std::string(name_of(op.table)) +
                                                " must have 1 to " + std::to_string(max_row_size) +
                                                " bytes, not " + std::to_string(op.row.size()));
    if (op.value && op.value->size() > max_value_size)
      return fail(errc::store_write_failed, "a value for table " + std::string(name_of(op.table)) + " has " +
                                                std::to_string(op.value->size()) + " bytes; the limit is " +
                                                std::to_string(max_value_size));
    if (op.if_absent && (op.expected != 0 || !op.value))
      return fail(errc::store_write_failed,
                  "a row of table " + std::string(name_of(op.table)) +
                      " that is written if it is absent has a value and no version");
  }
  if (names_a_row_twice(batch)) return fail(errc::store_write_failed, "a batch has two ops on one row");
  return {};
}

}  // namespace cpns::storage
