#pragma once
// Combines all batches that arrive during a write into the next one: a sync costs milliseconds, and is shared.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "metrics/registry.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::storage {

/// Called once with the outcome of a batch.
using commit_done = std::function<void(const status&)>;

struct commit_limits {
  std::size_t queued_rows = 65'536;  ///< rows that may wait; a batch beyond is refused
  /// A write takes whole batches up to this many rows, and at least one batch.
  std::size_t rows_per_write = 1024;
};

struct commit_statistics {
  std::uint64_t writes = 0;         ///< durable writes, failed ones included
  std::uint64_t batches = 0;        ///< batches that became durable
  std::uint64_t rows = 0;           ///< rows in them
  std::uint64_t lost = 0;           ///< batches that lost a race for their row
  std::uint64_t failed = 0;         ///< batches that failed in the store
  std::uint64_t refused = 0;        ///< batches refused because the queue was full
  std::size_t queued_rows = 0;      ///< rows waiting now
  std::size_t queued_rows_max = 0;  ///< the largest number that ever waited
};

/// Of each write. Handles that count nothing, unless store_metrics.hpp made them.
struct commit_metrics {
  metrics::histogram rows, time;
};

/// Owns the one thread that writes to the store. [thread-safe]
class group_committer {
 public:
  /// `to` must outlive the committer.
  explicit group_committer(sealed_store& to, commit_limits limits = {}, commit_metrics measured = {});
  /// Commits the queued batches, calls every completion, and joins the thread. Must not run in a completion.
  ~group_committer();
  group_committer(const group_committer&) = delete;
  group_committer& operator=(const group_committer&) = delete;

  /// Queues a batch. `done` is called on the committer's thread, in the order of submission, after the batch is
  /// durable or has failed; it must not block, and may submit. If the batch is refused, `done` is called on the
  /// caller's thread before submit returns: state_overloaded (queue full), state_stopping (the committer is being
  /// destroyed), store_write_failed (a row exceeds the limits of a store). store_conflict: the batch lost a race, and
  /// nothing of it is written.
  void submit(sealed_batch batch, commit_done done);

  [[nodiscard]] commit_statistics statistics() const;

 private:
  struct entry {
    sealed_batch batch;
    commit_done done;
    std::size_t rows;
  };
  void run();
  /// Moves from `e` only if it is accepted.
  status queue(entry& e);
  /// The batches of the next write. Call with mutex_ held.
  std::vector<entry> take();
  std::vector<status> commit(std::vector<entry>& group);
  void count(const std::vector<entry>& group, const std::vector<status>& outcomes);

  sealed_store& to_;
  const commit_limits limits_;
  const commit_metrics measured_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<entry> queue_;
  commit_statistics stats_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cpns::storage
