#include "storage/rocksdb_rows.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

namespace cpns::storage {

namespace {

rocksdb::Slice bytes_of(byte_view b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
byte_view view(const rocksdb::Slice& s) {
  return {reinterpret_cast<const std::uint8_t*>(s.data()), s.size()};
}

bytes key_of(table t, byte_view row) {
  bytes key;
  key.reserve(1 + row.size());
  key.push_back(static_cast<std::uint8_t>(t));
  key.insert(key.end(), row.begin(), row.end());
  return key;
}

tl::unexpected<error> read_failed(const std::filesystem::path& folder, const rocksdb::Status& why) {
  const auto code = why.IsCorruption() ? errc::store_damaged : errc::store_unavailable;
  return fail(code, "cannot read the store in " + folder.string() + ": " + why.ToString());
}

/// In front of the version of a value, eight bytes, the most significant first. A value of schema 1 has neither; it begins
/// with the id of its key, which is as random as this.
constexpr std::array<std::uint8_t, 8> version_follows{0xc9, 0x52, 0x1e, 0x8d, 0x07, 0xf3, 0x6a, 0xb4};
constexpr std::size_t version_head = version_follows.size() + 8;

std::array<std::uint8_t, version_head> head_of(std::uint64_t version) {
  std::array<std::uint8_t, version_head> out{};
  auto at = std::copy(version_follows.begin(), version_follows.end(), out.begin());
  for (int shift = 56; shift >= 0; shift -= 8) *at++ = static_cast<std::uint8_t>(version >> shift);
  return out;
}

bool has_version(byte_view raw) {
  return raw.size() >= version_head && equal(raw.first(version_follows.size()), version_follows);
}

std::uint64_t version_of(byte_view raw) {
  std::uint64_t out = 0;
  if (has_version(raw))
    for (const auto byte : raw.subspan(version_follows.size(), 8)) out = out << 8 | byte;
  return out;
}

stored_value decoded(byte_view raw) {
  return {version_of(raw), to_bytes(has_version(raw) ? raw.subspan(version_head) : raw)};
}

stored_row row_at(const rocksdb::Iterator& it) {
  auto value = decoded(view(it.value()));
  return {to_bytes(view(it.key()).subspan(1)), value.version, std::move(value.value)};
}

}  // namespace

result<std::vector<std::optional<stored_value>>>
read_from(rocksdb::DB& db, const std::filesystem::path& folder, std::span<const row_name> names) {
  bytes all;  // keys
  all.reserve(std::accumulate(names.begin(), names.end(), names.size(),
                              [](std::size_t sum, const row_name& n) { return sum + n.row.size(); }));
  std::vector<rocksdb::Slice> keys;
  keys.reserve(names.size());
  for (const auto& n : names) {
    const auto from = all.size();
    all.push_back(static_cast<std::uint8_t>(n.table));
    all.insert(all.end(), n.row.begin(), n.row.end());
    keys.push_back(bytes_of(byte_view(all).subspan(from)));
  }
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> outcomes(keys.size());
  db.MultiGet({}, db.DefaultColumnFamily(), keys.size(), keys.data(), values.data(), outcomes.data());
  std::vector<std::optional<stored_value>> out(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (outcomes[i].IsNotFound()) continue;
    if (!outcomes[i].ok()) return read_failed(folder, outcomes[i]);
    out[i] = decoded(view(values[i]));
  }
  return out;
}

result<std::uint64_t> version_in(rocksdb::DB& db, const std::filesystem::path& folder, table t,
                                 byte_view row) {
  rocksdb::PinnableSlice value;
  const auto done = db.Get({}, db.DefaultColumnFamily(), bytes_of(key_of(t, row)), &value);
  if (done.IsNotFound()) return 0;
  if (!done.ok()) return read_failed(folder, done);
  return version_of(view(value));
}

status scan_in(rocksdb::DB& db, const std::filesystem::path& folder, table t, byte_view prefix,
               const row_visitor& visit) {
  const auto from = key_of(t, prefix);
  rocksdb::ReadOptions once;
  once.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db.NewIterator(once));
  for (it->Seek(bytes_of(from)); it->Valid() && it->key().starts_with(bytes_of(from)); it->Next())
    if (!visit(row_at(*it))) return {};
  if (!it->status().ok()) return read_failed(folder, it->status());
  return {};
}

result<std::vector<stored_row>> slice_of(rocksdb::DB& db, const std::filesystem::path& folder, table t,
                                         byte_view after, std::size_t limit) {
  const auto from = key_of(t, after);
  slice_builder out(limit);
  rocksdb::ReadOptions once;
  once.fill_cache = false;
  const std::unique_ptr<rocksdb::Iterator> it(db.NewIterator(once));
  for (it->Seek(bytes_of(from)); it->Valid() && it->key()[0] == static_cast<char>(t) && !out.full();
       it->Next())
    if (it->key() != bytes_of(from)) out.add(row_at(*it));
  if (!it->status().ok()) return read_failed(folder, it->status());
  return out.take();
}

status add_to(rocksdb::WriteBatch& ops, std::vector<const write_op*> admitted) {
  std::stable_sort(admitted.begin(), admitted.end(), [](const write_op* a, const write_op* b) {
    return std::pair(a->table, as_text(a->row)) < std::pair(b->table, as_text(b->row));
  });
  for (const auto* op : admitted) {
    const auto t = static_cast<std::uint8_t>(op->table);
    const std::array key{bytes_of({&t, 1}), bytes_of(op->row)};
    const rocksdb::SliceParts key_parts(key.data(), key.size());
    rocksdb::Status added;
    if (op->value) {
      const auto head = head_of(op->expected + 1);
      const std::array value{bytes_of(head), bytes_of(*op->value)};
      added = ops.Put(key_parts, rocksdb::SliceParts(value.data(), value.size()));
    } else {
      added = ops.Delete(key_parts);
    }
    if (!added.ok()) return fail(errc::store_write_failed, added.ToString());
  }
  return {};
}

std::size_t size_in_log(std::span<const write_op* const> admitted) {
  constexpr std::size_t of_batch = 12;          // a number and a count
  constexpr std::size_t of_op = 1 + 2 * 5 + 1;  // its kind, two lengths, the table
  std::size_t out = of_batch;
  for (const auto* op : admitted)
    out += of_op + op->row.size() + (op->value ? version_head + op->value->size() : 0);
  return out;
}

}  // namespace cpns::storage
