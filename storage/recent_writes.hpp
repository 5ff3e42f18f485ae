#pragma once
// Which rows of a store were written since they were read.

#include <mutex>
#include <vector>

#include "storage/row_locks.hpp"

namespace cpns::storage {

/// A conditional write has to know the version that its row has now, but its writer read the row a moment ago: a second
/// read costs as much as the write. So each write gets a number, and the last number is kept for each of many groups of
/// rows. If that is not above the number that was the last finished one when the row was read, nobody wrote the row since.
/// Otherwise, or if another row of the group was written, the row is read again. [thread-safe]
class recent_writes {
 public:
  /// All writes up to this number had ended. 0 is before all.
  using moment = std::uint64_t;

  [[nodiscard]] moment now() const;

  /// A write of rows that are locked, from before it reaches the engine until its end; also one that fails.
  class write {
   public:
    write(recent_writes& in, const row_hashes& rows);
    ~write();
    write(const write&) = delete;
    write& operator=(const write&) = delete;

   private:
    recent_writes& in_;
    moment number_;
  };

  /// Whether the row, which the caller has locked, is as it was read at `read`.
  [[nodiscard]] bool unchanged_since(moment read, std::uint64_t row) const;

  /// The engine was opened again: rows may be others than those that were read before.
  void forget();

 private:
  static constexpr std::size_t groups = 16'384;
  [[nodiscard]] moment finished() const;

  mutable std::mutex mutex_;
  moment last_ = 1;               ///< number of the last write that began
  moment opened_ = 0;             ///< number at the last forget()
  std::vector<moment> in_write_;  ///< numbers of the writes that did not end; there are few
  std::vector<moment> written_ = std::vector<moment>(groups);
};

}  // namespace cpns::storage
