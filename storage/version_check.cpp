#include "storage/version_check.hpp"

namespace cpns::storage {

status version_check::admit(const write_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  for (const auto& op : batch) {
    const auto before = next_.find({op.table, op.row});
    CPNS_TRY(const auto now,
             before != next_.end() ? result<std::uint64_t>(before->second) : find_(op.table, op.row));
    if (now != op.expected) return fail(lost_race(op.table, op.expected, now));
  }
  for (const auto& op : batch) next_.insert_or_assign({op.table, op.row}, op.value ? op.expected + 1 : 0);
  return {};
}

}  // namespace cpns::storage
