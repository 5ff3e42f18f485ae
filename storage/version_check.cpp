#include "storage/version_check.hpp"

namespace cpns::storage {

result<std::vector<const write_op*>> version_check::admit(const write_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  std::vector<const write_op*> out;
  out.reserve(batch.size());
  for (const auto& op : batch) {
    const auto before = next_.find({op.table, op.row});
    CPNS_TRY(const auto now,
             before != next_.end() ? result<std::uint64_t>(before->second) : find_(op.table, op.row));
    if (now == op.expected)
      out.push_back(&op);
    else if (!op.if_absent)
      return fail(lost_race(op.table, op.expected, now));
  }
  for (const auto* op : out) next_.insert_or_assign({op->table, op->row}, op->value ? op->expected + 1 : 0);
  return out;
}

}  // namespace cpns::storage
