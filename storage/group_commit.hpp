#pragma once
// Combines all batches that arrive during a write into the next one: a sync costs milliseconds, and is shared.

#include <array>
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
  /// A second thread writes beside the first one while so many rows wait; 0: never, for stores that do one write after the
  /// other.
  std::size_t rows_for_second_writer = 0;
};

/// With a second writer for a shared store: a database does several writes at a time.
commit_limits commit_limits_for(const sealed_store& to);

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

/// Owns the thread that writes to the store, and the second one. Batches that share a row are written, and their
/// completions called, in the order of submission. With a second writer, other batches may overtake each other: a change
/// that is valid only after another one waits for its completion. [thread-safe]
class group_committer {
 public:
  /// `to` must outlive the committer.
  explicit group_committer(sealed_store& to, commit_limits limits = {}, commit_metrics measured = {});
  /// Commits the queued batches, calls every completion, and joins the threads. Must not run in a completion.
  ~group_committer();
  group_committer(const group_committer&) = delete;
  group_committer& operator=(const group_committer&) = delete;

  /// Queues a batch. `done` is called on a thread of the committer, never beside another completion, after the batch is
  /// durable or has failed; it must not block, and may submit. The completion of an empty batch follows those of all
  /// batches that were submitted before it. If the batch is refused, `done` is called on the
  /// caller's thread before submit returns: state_overloaded (queue full), state_stopping (the committer is being
  /// destroyed), store_write_failed (a row exceeds the limits of a store). store_conflict: the batch lost a race, and
  /// nothing of it is written.
  void submit(sealed_batch batch, commit_done done);

  [[nodiscard]] commit_statistics statistics() const;

 private:
  struct entry {
    sealed_batch batch;
    commit_done done;
    std::uint64_t number;  ///< in the order of submission
  };
  /// The batches of one write, with their completions.
  struct group {
    std::vector<sealed_batch> batches;
    std::vector<commit_done> done;
    std::uint64_t first = 0;  ///< the smallest number
    std::size_t rows = 0;
  };
  class walk;
  void run(std::size_t who);
  /// Moves from `e` only if it is accepted.
  status queue(entry& e);
  void write(const group& g);
  std::vector<status> commit(const group& g);
  void count(const group& g, const std::vector<status>& outcomes);

  // With mutex_ held.

  /// Waits until writer `who` has a group. False: it will have none.
  bool wait_for_group(std::size_t who, std::unique_lock<std::mutex>& lock);
  [[nodiscard]] bool has_work(std::size_t who) const;
  /// Moves batches from the queue to the group of `who`.
  void take(std::size_t who);

  sealed_store& to_;
  const commit_limits limits_;
  const commit_metrics measured_;
  std::mutex completing_;
  mutable std::mutex mutex_;  ///< of all below
  std::array<std::condition_variable, 2> wake_;
  std::deque<entry> queue_;
  std::array<group, 2> groups_;  ///< of each writer, until its completions were called
  std::uint64_t submitted_ = 0;
  std::uint64_t turns_ = 0;  ///< begins and ends of groups
  commit_statistics stats_;
  bool stopping_ = false;
  std::thread first_, second_;
};

}  // namespace cpns::storage
