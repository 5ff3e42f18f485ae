#pragma once
// A store in a folder of its own, kept by RocksDB. Every write is synced before it returns.
//
// The folder holds RocksDB's files and a marker, CPNS_STORE, which says that the folder is ours, the version
// of its layout, and whether it was made completely. RocksDB alone would make an empty database out of a
// damaged one.
//
// After a failed write the store takes no more, and reads go on. A thread of its own tries the disk twice a
// second; when the disk takes writes again, the database is opened again from its files, with the folder's
// lock held all the time (docs/adr/0014-a-store-that-failed-is-opened-again.md).

#include <filesystem>
#include <memory>

#include "base/clock.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

inline constexpr std::string_view store_marker_name = "CPNS_STORE";
inline constexpr milliseconds store_timeout_default = std::chrono::minutes(5);

/// Opens the store in `folder`, or makes one if the folder is missing or empty (mode 0700, parents included).
///   store_locked       another process has it, or this one has it open already
///   store_damaged      files without CURRENT or without our marker, or RocksDB finds damage: never made anew
///   store_unavailable  the folder cannot be made, read or written, or it is of a newer version
///   store_full         no room to open it
/// The store must be destroyed before the process may open the folder again. A disk that takes no writes for
/// longer than `timeout` makes it lost (store_health); a full disk never does.
result<std::unique_ptr<store>> open_rocksdb_store(const std::filesystem::path& folder,
                                                  milliseconds timeout = store_timeout_default);

}  // namespace cpns::storage
