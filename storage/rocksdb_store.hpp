#pragma once
// A store on disk, in a folder of its own, by RocksDB. Every write is synced before it returns.
//
// The folder holds RocksDB's files and a marker, CPNS_STORE: it identifies the folder as a cpns store, and
// holds the version of its layout and whether it was created completely. RocksDB alone would silently turn a
// damaged database into an empty one.
//
// After a failed write the store accepts no more writes, but still reads. A thread probes the disk every 0.5 s
// (up to 10 s if opening fails); when the disk accepts writes again, the thread reopens the database from its
// files. The folder stays locked meanwhile (docs/adr/0014-a-store-that-failed-is-opened-again.md).

#include <filesystem>
#include <memory>

#include "base/clock.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

inline constexpr std::string_view store_marker_name = "CPNS_STORE";
inline constexpr milliseconds store_timeout_default = std::chrono::minutes(5);

struct rocksdb_settings {
  milliseconds timeout = store_timeout_default;
  /// Bytes of rows in memory that are not in a table file yet; up to twice as many while they are written. The rows of a
  /// store with many writes are merged less often with a larger one.
  std::size_t write_buffer = 8U << 20;
  /// Bytes of blocks in memory. The filters and indexes of table files are in it, too, and go with a store of any size; 0: a small
  /// cache of RocksDB for rows alone, and all filters and indexes beside it.
  std::size_t cache = 0;
  int tables_to_compact = 4;  ///< of one write buffer each, before they are merged with the older rows
};

/// For a store with thousands of writes per second.
inline constexpr rocksdb_settings busy_store{store_timeout_default, 32U << 20, 0, 8};

/// Opens the store in `folder`, or creates one if the folder is missing (mode 0700, with its parents) or empty.
///   store_locked       another process holds it, or this one already has it open
///   store_damaged      files without CURRENT or without the marker, or RocksDB finds damage; never recreated
///   store_unavailable  the folder cannot be created, read or written, or has a newer layout
///   store_full         not enough space to open it
/// The store must be destroyed before the process may open the folder again. If the disk accepts no writes for
/// longer than `of.timeout`, the store is lost (store_health); a full disk is waited for without limit.
result<std::unique_ptr<store>> open_rocksdb_store(const std::filesystem::path& folder,
                                                  const rocksdb_settings& of = {});

/// The store in `folder` as its files are now, for a check. Changes nothing and takes no lock: only while no role has
/// the store open. Writes fail with store_unavailable. state_unknown: the store was not made yet; store_damaged,
/// store_unavailable as of open_rocksdb_store.
result<std::unique_ptr<store>> open_rocksdb_store_for_reading(const std::filesystem::path& folder);

}  // namespace cpns::storage
