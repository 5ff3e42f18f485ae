#include "storage/faulty_store.hpp"

#include <utility>

namespace cpns::storage {

void faulty_store::fail_write(std::uint64_t n, fault_point point, errc code) {
  const std::lock_guard lock(mutex_);
  script_.insert_or_assign(n, fault{point, code});
}

void faulty_store::fail_writes(errc code, fault_point point) {
  const std::lock_guard lock(mutex_);
  always_ = fault{point, code};
}

void faulty_store::fail_row(table t, bytes row, errc code) {
  const std::lock_guard lock(mutex_);
  rows_.insert_or_assign({t, std::move(row)}, code);
}

void faulty_store::fail_reads(errc code) {
  const std::lock_guard lock(mutex_);
  reads_ = code;
}

void faulty_store::repair() {
  const std::lock_guard lock(mutex_);
  always_.reset();
  reads_.reset();
  rows_.clear();
  for (const auto& batch : std::exchange(later_, {})) (void)under_.write_one(batch);
  ++reopened_;
}

std::uint64_t faulty_store::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}

std::optional<faulty_store::fault> faulty_store::next_fault() {
  const std::lock_guard lock(mutex_);
  ++writes_;
  if (const auto planned = script_.extract(writes_)) return planned.mapped();
  return always_;
}

std::optional<faulty_store::fault> faulty_store::fault_of(const write_batch& batch) const {
  const std::lock_guard lock(mutex_);
  for (const auto& op : batch)
    if (const auto bad = rows_.find({op.table, op.row}); bad != rows_.end())
      return fault{fault_point::before_durable, bad->second};
  return std::nullopt;
}

std::optional<errc> faulty_store::read_fault() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

result<std::vector<std::optional<stored_value>>> faulty_store::read(std::span<const row_name> names) const {
  if (const auto code = read_fault()) return fail(*code, "injected failure");
  return under_.read(names);
}

std::vector<status> faulty_store::write(std::span<const write_batch> batches) {
  const auto planned = next_fault();
  std::vector<status> out;
  for (const auto& batch : batches) {
    const auto own = planned ? planned : fault_of(batch);
    out.push_back(own ? write_faulty(batch, *own) : under_.write_one(batch));
  }
  return out;
}

status faulty_store::write_faulty(const write_batch& batch, const fault& planned) {
  if (planned.point == fault_point::after_durable) CPNS_CHECK(under_.write_one(batch));
  if (planned.point == fault_point::turns_up_later) {
    const std::lock_guard lock(mutex_);
    later_.push_back(batch);
  }
  return fail(planned.code, "injected failure");
}

status faulty_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  if (const auto code = read_fault()) return fail(*code, "injected failure");
  return under_.scan(t, prefix, visit);
}

result<std::vector<stored_row>> faulty_store::slice(table t, byte_view after, std::size_t limit) const {
  if (const auto code = read_fault()) return fail(*code, "injected failure");
  return under_.slice(t, after, limit);
}

store_health faulty_store::health() const {
  const std::lock_guard lock(mutex_);
  return {.writable = !always_, .reopened = reopened_, .why = always_ ? "injected failure" : ""};
}

}  // namespace cpns::storage
