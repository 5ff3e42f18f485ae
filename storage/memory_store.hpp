#pragma once
// A store that lives as long as its object: for tests and for a demonstration in one process.

#include <map>
#include <shared_mutex>

#include "storage/store.hpp"

namespace cpns::storage {

class memory_store final : public store {
 public:
  result<std::optional<bytes>> get(table t, byte_view row) const override;
  status write(const write_batch& batch) override;
  /// Copies the rows first, so that the visitor may call the store.
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::pair<table, bytes>, bytes> rows_;
};

}  // namespace cpns::storage
