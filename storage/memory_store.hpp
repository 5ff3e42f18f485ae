#pragma once
// A store in memory, lost when the object is destroyed: for tests and for `store.kind: memory`.

#include <map>
#include <shared_mutex>

#include "storage/store.hpp"

namespace cpns::storage {

/// [thread-safe]
class memory_store final : public store {
 public:
  result<std::optional<bytes>> get(table t, byte_view row) const override;
  status write(const write_batch& batch) override;
  /// Copies the rows first, so that the visitor may call the store.
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override;

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::pair<table, bytes>, bytes> rows_;
};

}  // namespace cpns::storage
