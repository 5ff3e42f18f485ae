#pragma once
// A store in memory, lost when the object is destroyed: for tests and for `store.kind: memory`.

#include <map>
#include <shared_mutex>

#include "storage/hint_board.hpp"
#include "storage/store.hpp"

namespace cpns::storage {

/// [thread-safe]
class memory_store : public store {
 public:
  /// `shared`: it says that it is, for tests with several servers.
  explicit memory_store(bool shared = false) : shared_(shared) {}
  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override;
  std::vector<status> write(std::span<const write_batch> batches) override;
  /// Copies the rows first, so that the visitor may call the store.
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override;
  [[nodiscard]] bool shared() const override { return shared_; }
  [[nodiscard]] std::shared_ptr<void> listen(const std::function<void()>& heard) override {
    return board_.add(heard);
  }

  /// Sets a row to any version and value, or removes it: an attacker who holds the database, in a test.
  void put_back(table t, byte_view row, std::optional<stored_value> value);

 private:
  std::vector<status> apply(std::span<const write_batch> batches);

  const bool shared_;
  hint_board board_;
  mutable std::shared_mutex mutex_;
  std::map<std::pair<table, bytes>, stored_value> rows_;
};

}  // namespace cpns::storage
