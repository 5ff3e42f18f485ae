#pragma once
// The folder of a RocksDB store before RocksDB sees it: is it ours, is it whole, may we have it.

#include <filesystem>

#include "base/result.hpp"
#include "storage/file.hpp"

namespace cpns::storage {

/// Holds the lock on the folder's marker, against other processes, as long as it lives.
class store_folder {
 public:
  /// Makes the folder and its marker if there is nothing yet. Errors as open_rocksdb_store.
  static result<store_folder> claim(const std::filesystem::path& folder);

  /// False until mark_complete(): no write was ever acknowledged from here, so the database may be made
  /// (anew).
  [[nodiscard]] bool complete() const { return complete_; }
  /// Durable on return.
  status mark_complete();
  /// Whether the disk takes writes now: makes a file in the folder, syncs and removes it. store_full,
  /// store_write_failed.
  [[nodiscard]] status probe() const;

 private:
  store_folder(std::filesystem::path folder, descriptor marker)
      : folder_(std::move(folder)), marker_(std::move(marker)) {}
  status read_marker(bool others, bool current);
  status write_marker(std::string_view text);

  std::filesystem::path folder_;
  descriptor marker_;
  bool complete_ = false;
};

}  // namespace cpns::storage
