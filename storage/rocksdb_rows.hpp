#pragma once
// Rows with versions in a RocksDB database. Only for rocksdb_store.cpp.
//
// The key of a row is its table in one byte and its name. The value is version_follows || version(8) || value; a value of
// schema 1 stands alone.

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "storage/store.hpp"

namespace rocksdb {
class DB;
class WriteBatch;
}  // namespace rocksdb

namespace cpns::storage {

// As store::read, scan and slice. `folder` is for messages. store_damaged, store_unavailable.

result<std::vector<std::optional<stored_value>>>
read_from(rocksdb::DB& db, const std::filesystem::path& folder, std::span<const row_name> names);
status scan_in(rocksdb::DB& db, const std::filesystem::path& folder, table t, byte_view prefix,
               const row_visitor& visit);
result<std::vector<stored_row>> slice_of(rocksdb::DB& db, const std::filesystem::path& folder, table t,
                                         byte_view after, std::size_t limit);

/// 0 if the row does not exist, or has no version. Copies no value.
result<std::uint64_t> version_in(rocksdb::DB& db, const std::filesystem::path& folder, table t,
                                 byte_view row);

/// Adds ops whose versions were checked, in the order of their names; ops on one row stay in theirs. store_write_failed.
status add_to(rocksdb::WriteBatch& ops, std::vector<const write_op*> admitted);
/// Bytes that a rocksdb::WriteBatch has with these ops, or a few more.
std::size_t size_in_log(std::span<const write_op* const> admitted);

}  // namespace cpns::storage
