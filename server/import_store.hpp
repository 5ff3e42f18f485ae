#pragma once
// The rows of imports in the store: an index of their names, a record for each, and its staged devices and results in
// blocks. A block is one row, so that staging a million devices takes a thousand rows. Private to server/.

#include <optional>
#include <string>
#include <vector>

#include "protocol/server/import_records.hpp"
#include "protocol/server/records.hpp"
#include "server/store_admin.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

inline constexpr std::size_t block_rows = 1000;        ///< a block with so many rows is full
inline constexpr std::size_t result_block_rows = 256;  ///< the same for results
inline constexpr std::size_t results_kept_max =
    10'000;  ///< of bad rows, and again of warnings; more are counted

/// [thread-safe] Errors of the store, and store_damaged.
class import_store {
 public:
  /// `store` must outlive it.
  /// `write` of batches; by default into `store`, of a role that is stopped.
  explicit import_store(storage::sealed_store& store, durable_write write = {})
      : store_(store), write_(write ? std::move(write) : write_to(store)) {}

  /// In the order in which they were created.
  [[nodiscard]] result<std::vector<std::string>> names() const;
  [[nodiscard]] result<std::optional<protocol::import_record>> find(const std::string& name) const;
  /// state_unknown if there is none.
  [[nodiscard]] result<protocol::import_record> load(const std::string& name) const;
  [[nodiscard]] result<protocol::staged_block> block(const std::string& name, std::uint64_t n) const;
  /// Results `from` and up to `most` - 1 after it; fewer at the end.
  [[nodiscard]] result<protocol::import_results> results(const protocol::import_record& of,
                                                         std::uint64_t from, std::size_t most) const;
  /// The present rows of devices, in their order.
  [[nodiscard]] std::vector<result<storage::sealed_value>>
  rows_of(const std::vector<protocol::device_secret_record>& devices) const;
  [[nodiscard]] result<bool> has_device(const entity_id& entity) const;
  [[nodiscard]] result<bool> has_user(const user_id& user) const;

  // Parts of a batch.
  static storage::sealed_op put(const std::vector<std::string>& names);
  static storage::sealed_op put(const protocol::import_record& r);
  static storage::sealed_op put(const std::string& name, std::uint64_t n, const protocol::staged_block& b);
  /// If its row still has the version `expected`.
  static storage::sealed_op put(const protocol::device_secret_record& device, std::uint64_t expected);
  /// All results in blocks.
  static void put_results(storage::sealed_batch& to, const std::string& name,
                          const protocol::import_results& all);
  static void put_results(storage::sealed_batch& to, const std::string& name, std::uint64_t n,
                          const protocol::import_results& block);
  /// Erases the staged devices of an import.
  static void erase_blocks(storage::sealed_batch& to, const protocol::import_record& r);
  /// Erases everything of an import but its name in the index.
  static void erase(storage::sealed_batch& to, const protocol::import_record& r);

  /// Durable on return.
  [[nodiscard]] status write(const storage::sealed_batch& batch) const { return write_(batch); }
  [[nodiscard]] status accepts_writes() const { return store_.accepts_writes(); }
  [[nodiscard]] storage::store_health health() const { return store_.health(); }

 private:
  storage::sealed_store& store_;
  const durable_write write_;
};

}  // namespace cpns::server
