#pragma once
// The versions of rows in an engine that lives in this process.

#include <functional>
#include <map>
#include <utility>

#include "storage/store.hpp"

namespace cpns::storage {

/// Of two writers that read the same row, one must lose, also if both are in one call of store::write: the second batch
/// sees the rows of the first one, which are not written yet. For one call; not thread-safe.
class version_check {
 public:
  /// The version of a row in the engine, 0 if it does not exist.
  using lookup = std::function<result<std::uint64_t>(table, byte_view row)>;

  explicit version_check(lookup find) : find_(std::move(find)) {}

  /// The ops to apply: all but those with `if_absent` whose row exists. store_conflict if an op expects another version
  /// than the row has, after all batches that were admitted before; an error of `find` or of check_batch. The batch
  /// counts as written from then on.
  result<std::vector<const write_op*>> admit(const write_batch& batch);

 private:
  const lookup find_;
  std::map<std::pair<table, bytes>, std::uint64_t> next_;
};

}  // namespace cpns::storage
