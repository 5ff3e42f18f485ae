#include "server/import_intake.hpp"

#include <algorithm>
#include <utility>

namespace cpns::server {
namespace {

/// Bytes that are parsed before the next look at the size of the block. A row has 20 bytes at least.
constexpr std::size_t slice = 16U << 10;
constexpr std::size_t rows_of_slice = slice / 16;
static_assert(block_rows + rows_of_slice <= protocol::staged_rows_max);

device_parser::place place_of(const protocol::import_record& r) {
  return {r.lines, r.good + r.bad, static_cast<device_parser::form>(r.form), r.columns, r.rest};
}

}  // namespace

import_intake::import_intake(const import_store& in, protocol::import_record r, clock_fn now)
    : store_(in), record_(std::move(r)), now_(std::move(now)), parser_(import_rows_max, place_of(record_)),
      bytes_(record_.bytes), good_(record_.good), bad_(record_.bad), stretched_(record_.stretched) {}

result<std::unique_ptr<import_intake>> import_intake::resume(const import_store& in,
                                                             protocol::import_record r, clock_fn now) {
  std::unique_ptr<import_intake> out{new import_intake{in, std::move(r), std::move(now)}};
  CPNS_CHECK(out->load_open_blocks());
  return out;
}

/// The last blocks may have room.
status import_intake::load_open_blocks() {
  full_blocks_ = record_.blocks;
  full_results_ = record_.results_kept / result_block_rows;
  const auto open = record_.results_kept % result_block_rows;
  if (open > 0) {
    CPNS_TRY(results_, store_.results(record_, record_.results_kept - open, open));
  }
  if (record_.blocks == 0) return {};
  CPNS_TRY(auto last, store_.block(record_.name, record_.blocks - 1));
  if (last.size() >= block_rows) return {};
  rows_ = std::move(last);
  --full_blocks_;
  return {};
}

void import_intake::sink::good(device_row row) {
  ++to_.good_;
  to_.stretched_ += row.stretch ? 1 : 0;
  to_.rows_.push_back(
      {row.line, std::move(row.entity), std::move(row.temporary_key), row.stretch, std::move(row.owner)});
}

void import_intake::sink::bad(row_diagnostic row) {
  ++to_.bad_;
  if (to_.full_results_ * result_block_rows + to_.results_.size() < results_kept_max)
    to_.results_.push_back({row.line, std::move(row.entity), std::move(row.text), false});
}

status import_intake::judged(const status& done) {
  changed_ = true;
  if (!done) fault_ = parser_.fault_line();
  return done;
}

status import_intake::take(byte_view part) {
  while (!part.empty()) {
    const auto next = part.first(std::min(slice, part.size()));
    if (import_bytes_max - bytes_ < next.size()) {
      fault_ = 0;
      return fail(errc::config_range, "more than 4 GiB; split the file");
    }
    CPNS_CHECK(judged(parser_.feed(next, sink_)));
    bytes_ += next.size();
    part = part.subspan(next.size());
    if (rows_.size() >= block_rows || results_.size() >= result_block_rows) CPNS_CHECK(flush());
  }
  return {};
}

status import_intake::end() { return judged(parser_.end(sink_)); }

status import_intake::flush() {
  if (!changed_) return {};
  auto next = record_;
  auto place = parser_.at();
  next.bytes = bytes_;
  next.lines = place.lines;
  next.form = static_cast<std::uint64_t>(place.form);
  next.columns = std::move(place.columns);
  next.rest = std::move(place.rest);
  next.good = good_;
  next.bad = bad_;
  next.stretched = stretched_;
  next.changed = unix_seconds(now_());
  storage::sealed_batch batch;
  if (!rows_.empty()) {
    next.blocks = full_blocks_ + 1;
    batch.push_back(import_store::put(next.name, full_blocks_, rows_));
  }
  next.results_kept = full_results_ * result_block_rows + results_.size();
  for (std::size_t from = 0; from < results_.size(); from += result_block_rows) {
    const auto last = std::min(from + result_block_rows, results_.size());
    import_store::put_results(batch, next.name, full_results_ + from / result_block_rows,
                              {results_.begin() + static_cast<std::ptrdiff_t>(from),
                               results_.begin() + static_cast<std::ptrdiff_t>(last)});
  }
  batch.push_back(import_store::put(next));
  CPNS_CHECK(store_.write(batch));
  record_ = std::move(next);
  changed_ = false;
  if (rows_.size() >= block_rows) {
    ++full_blocks_;
    rows_.clear();
  }
  const auto full = results_.size() / result_block_rows;
  results_.erase(results_.begin(), results_.begin() + static_cast<std::ptrdiff_t>(full * result_block_rows));
  full_results_ += full;
  return {};
}

}  // namespace cpns::server
