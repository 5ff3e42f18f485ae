#pragma once
// The reads of one session.

#include <functional>
#include <vector>

#include "storage/group_read.hpp"

namespace cpns::server {

/// A read and its message cost an actor as much for one request as for fifty. So one read runs at a time, and what is asked
/// for meanwhile is read by the next ones, many rows at once. Not thread-safe.
class read_queue {
 public:
  using then_fn = std::function<void(storage::rows_found)>;
  /// Of one read, so that other sessions do not wait for long.
  static constexpr std::size_t rows_at_once = 192;

  /// Rows for one job, and what follows their read.
  void add(std::vector<storage::row_name> names, then_fn then);
  /// The rows to read next; empty while a read runs, and if nothing waits.
  std::vector<storage::row_name> begin();
  /// The running read brought its rows: calls what follows, after `before`, which may begin the next read.
  void finish(storage::rows_found rows, const std::function<void()>& before);

 private:
  struct read {
    std::size_t rows = 0;
    then_fn then;
  };
  std::vector<storage::row_name> names_;  ///< of `waiting_`
  std::vector<read> waiting_, running_;
};

}  // namespace cpns::server
