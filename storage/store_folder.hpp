#pragma once
// Checks and locks the folder of a RocksDB store before RocksDB opens it: a cpns store, complete, not in use. And the
// folder of a node, whose rows are in a database.

#include <filesystem>

#include "base/entropy.hpp"
#include "base/result.hpp"
#include "storage/file.hpp"

namespace cpns::storage {

/// Holds the lock on the folder's marker against other processes for its lifetime.
class store_folder {
 public:
  /// Creates the folder and its marker if missing. Errors as open_rocksdb_store.
  static result<store_folder> claim(const std::filesystem::path& folder);

  /// Checks the folder without a change and without its lock: claim would accept it, and its database is complete.
  /// state_unknown: missing, empty, or not complete; other errors as of claim.
  static status inspect(const std::filesystem::path& folder);

  /// False until mark_complete(): no write was ever acknowledged, so the database may be created again.
  [[nodiscard]] bool complete() const { return complete_; }
  /// Durable on return.
  status mark_complete();
  /// Checks that the disk accepts writes: creates a file in the folder, syncs and removes it. store_full,
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
  bool older_ = false;  ///< complete, with the marker of schema 1
};

/// The folder of a node, locked until it is destroyed.
struct node_folder {
  descriptor lock;
  std::string identity;  ///< drawn when the folder was made: 32 hexadecimal digits
};
/// Locks the folder of a node, so that a node is not started twice; creates it with mode 0700 and its marker if it is
/// missing. store_locked; store_damaged: it holds something else, such as a RocksDB store; store_unavailable, store_full.
result<node_folder> claim_node_folder(const std::filesystem::path& folder, entropy& random);

}  // namespace cpns::storage
