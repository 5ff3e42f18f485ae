#pragma once
// Opens RocksDB on a folder the one way that loses nothing and says what is wrong. Not part of the room's
// public interface.

#include <filesystem>
#include <memory>
#include <rocksdb/db.h>

#include "base/result.hpp"

namespace cpns::storage {

/// For reading and writing. `create`: makes the database if the folder holds none. Errors as
/// open_rocksdb_store.
result<std::shared_ptr<rocksdb::DB>> open_for_writing(const std::filesystem::path& folder, bool create);
/// For reading alone; the folder is not changed, and may be open for writing already. Shows what is in the
/// files now. Errors as open_rocksdb_store.
result<std::shared_ptr<rocksdb::DB>> open_for_reading(const std::filesystem::path& folder);

}  // namespace cpns::storage
