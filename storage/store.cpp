#include "storage/store.hpp"

namespace cpns::storage {

void slice_builder::add(byte_view row, byte_view value) {
  size_ += row.size() + value.size();
  rows_.push_back({to_bytes(row), to_bytes(value)});
}

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
  }
  return {};
}

}  // namespace cpns::storage
