#pragma once
// The versions of rows in an engine that lives in this process.

#include <functional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "storage/store.hpp"

namespace cpns::storage {

/// Of two writers that read the same row, one must lose, also if both are in one call of store::write: the second batch
/// sees the rows of the first one, which are not written yet. For one call, whose batches outlive it; not thread-safe.
class version_check {
 public:
  /// The version of a row in the engine, 0 if it does not exist.
  using lookup = std::function<result<std::uint64_t>(table, byte_view row)>;

  /// Whether the row of an op has the version that the op expects, as far as that is known without a lookup.
  using shortcut = std::function<bool(const write_op&)>;

  /// `each_once`: no row is in two batches of the call, which spares a table of them.
  explicit version_check(lookup find, shortcut known = {}, bool each_once = false)
      : find_(std::move(find)), known_(std::move(known)), each_once_(each_once) {}

  /// The ops to apply: all but those with `if_absent` whose row exists. store_conflict if an op expects another version
  /// than the row has, after all batches that were admitted before; an error of `find` or of check_batch. The batch
  /// counts as written from then on.
  result<std::vector<const write_op*>> admit(const write_batch& batch);

 private:
  using name = std::pair<table, std::string_view>;
  struct name_hash {
    std::size_t operator()(const name& n) const {
      return std::hash<std::string_view>{}(n.second) + static_cast<std::size_t>(n.first);
    }
  };

  /// In the engine, or after the batches that were admitted.
  result<std::uint64_t> version_now(const write_op& op) const;

  const lookup find_;
  const shortcut known_;
  const bool each_once_;
  std::unordered_map<name, std::uint64_t, name_hash> next_;
};

}  // namespace cpns::storage
