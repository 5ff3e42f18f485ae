#include "server/index_sweep.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.hpp"
#include "server/index_rows.hpp"

namespace cpns::server {
namespace {

using storage::table;

constexpr std::size_t swept_at_once = 256;
/// So that a sweep takes a fifth of one processor and of one reader at most.
constexpr int rest_per_work = 4;
constexpr milliseconds rest_min{20}, rest_in_trouble = seconds{1};

/// Whether the record of an index row says otherwise. A record that cannot be read says nothing.
bool is_stale(table t, const result<storage::sealed_value>& row, const storage::index_group& group) {
  if (!row) return false;
  if (!row->value) return true;
  if (t == table::devices) {
    const auto r = protocol::decode_device_secret_record(row->value->expose());
    return r && !is_member(*r, group);
  }
  const auto r = protocol::decode_entity_record(row->value->expose());
  return r && !is_member(*r, group);
}

std::vector<storage::row_name> records_of(const std::vector<storage::index_entry>& entries) {
  std::vector<storage::row_name> out;
  out.reserve(entries.size());
  for (const auto& e : entries) out.push_back({*table_of(e.group), e.member});
  return out;
}

}  // namespace

index_sweep::index_sweep(parts p, sweep_times times) : parts_(std::move(p)), times_(times) {
  work_.start([this] { run(); });
}

void index_sweep::run() {
  const auto up_to = [this](milliseconds t) {
    return milliseconds(parts_.random->below(static_cast<std::uint64_t>(t.count()) + 1));
  };
  auto wait = times_.first + up_to(times_.first);
  while (work_.pause(wait) && sweep()) wait = times_.every - times_.every / 10 + up_to(times_.every / 5);
}

bool index_sweep::sweep() {
  looked_at_ = dropped_ = 0;
  storage::page_end after{std::string{}};
  while (after) {
    const auto begun = std::chrono::steady_clock::now();
    const auto done = sweep_page(after);
    if (!done)
      log::debug("server", "index-sweep-waits",
                 "the store cannot be read or written; the sweep goes on when it can",
                 {{"why", done.error().message()}});
    const auto took =
        std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun) * rest_per_work;
    if (!work_.pause(done ? std::max(took, rest_min) : rest_in_trouble)) return false;
  }
  log::debug("server", "index-swept", "index rows that were out of date are gone",
             {{"rows", std::to_string(looked_at_)}, {"dropped", std::to_string(dropped_)}});
  return true;
}

status index_sweep::sweep_page(storage::page_end& after) {
  std::vector<storage::index_entry> entries;
  std::size_t seen = 0;
  CPNS_TRY(auto next, parts_.store->page(
                          table::indexes, *after, swept_at_once,
                          [&](byte_view row, const secret_bytes&) {
                            ++seen;
                            auto entry = storage::read_index_row(row);
                            // A later release may have an index that this one does not know.
                            if (entry && table_of(entry->group)) entries.push_back(std::move(*entry));
                            return true;
                          },
                          // `cpns store verify` reports a row that cannot be read.
                          [](const error&) {}));
  const auto records = parts_.store->read(records_of(entries));
  std::vector<storage::index_entry> stale;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (!records[i] && !(records[i].error() == errc::store_sealed)) return fail(records[i].error());
    if (is_stale(*table_of(entries[i].group), records[i], entries[i].group))
      stale.push_back(std::move(entries[i]));
  }
  CPNS_CHECK(drop(stale));
  after = std::move(next);
  looked_at_ += seen;
  return {};
}

status index_sweep::drop(const std::vector<storage::index_entry>& stale) {
  for (const auto& e : stale) {
    if (!work_.pause(milliseconds{0})) return {};
    const auto t = *table_of(e.group);
    // The index row is read first: one that a writer makes later has a record that changed since.
    const auto row = storage::index_row(e.group, e.member);
    CPNS_TRY(const auto index, parts_.store->read_one(table::indexes, row));
    auto record = parts_.store->read_one(t, e.member);
    if (!record && !(record.error() == errc::store_sealed)) return fail(record.error());
    if (!index.value || !is_stale(t, record, e.group)) continue;
    const auto done = parts_.write(drop_of(t, e.group, {{e.member, index.version, {}}, *std::move(record)}));
    if (!done && !(done.error() == errc::store_conflict)) return fail(done.error());
    if (!done) continue;
    ++dropped_;
    parts_.swept.add();
  }
  return {};
}

}  // namespace cpns::server
