#include "storage/version_check.hpp"

namespace cpns::storage {

result<std::uint64_t> version_check::version_now(const write_op& op) const {
  if (const auto before = next_.find({op.table, as_text(op.row)}); before != next_.end())
    return before->second;
  if (known_ && known_(op)) return op.expected;
  return find_(op.table, op.row);
}

result<std::vector<const write_op*>> version_check::admit(const write_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  std::vector<const write_op*> out;
  out.reserve(batch.size());
  for (const auto& op : batch) {
    CPNS_TRY(const auto now, version_now(op));
    if (now == op.expected)
      out.push_back(&op);
    else if (!op.if_absent)
      return fail(lost_race(op.table, op.expected, now));
  }
  if (each_once_) return out;
  for (const auto* op : out)
    next_.insert_or_assign({op->table, as_text(op->row)}, op->value ? op->expected + 1 : 0);
  return out;
}

}  // namespace cpns::storage
