#pragma once
// The versions of rows that were read or written lately.

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

namespace cpns::actors {

/// A write of a row without the version that it replaces makes the store read the row first, some 2 KB for each of the two
/// writes of an update. The gateway has read it a moment before: this keeps its version for the next write. A version that is
/// not the row's makes that write fail as one that lost a race, and the record is then read again. [thread-safe]
class row_versions {
 public:
  static constexpr std::size_t rows_max = 8192;  ///< over that, all are forgotten

  struct known {
    std::uint64_t version = 0;
    std::uint64_t read_at = 0;  ///< as of storage::write_op
  };

  /// The row has this version since the moment `of.read_at`. An older version than the known one changes nothing.
  void put(const std::string& row, const known& of) {
    const std::lock_guard lock{guard_};
    if (rows_.size() >= rows_max) rows_.clear();
    const auto [at, fresh] = rows_.try_emplace(row, of);
    if (!fresh && at->second.version <= of.version) at->second = of;
  }
  /// For a write, whose success is put() again.
  [[nodiscard]] std::optional<known> take(const std::string& row) {
    const std::lock_guard lock{guard_};
    const auto at = rows_.find(row);
    if (at == rows_.end()) return std::nullopt;
    const auto out = at->second;
    rows_.erase(at);
    return out;
  }

 private:
  std::mutex guard_;
  std::unordered_map<std::string, known> rows_;
};

}  // namespace cpns::actors
