#pragma once
// One durable write for everything that arrived while the last one ran: what makes a synced row cheap.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "storage/sealed_store.hpp"

namespace cpns::storage {

/// Called once with the outcome of a batch.
using commit_done = std::function<void(const status&)>;

struct commit_limits {
  std::size_t queued_rows = 65'536;  ///< rows waiting; a batch beyond it is refused
  std::size_t rows_per_write =
      1024;  ///< a write takes whole batches up to this many rows, and at least one batch
};

struct commit_statistics {
  std::uint64_t writes = 0;         ///< durable writes tried
  std::uint64_t batches = 0;        ///< batches that became durable
  std::uint64_t rows = 0;           ///< rows in them
  std::uint64_t failed = 0;         ///< batches that failed in the store
  std::uint64_t refused = 0;        ///< batches refused because of the bound
  std::size_t queued_rows = 0;      ///< rows waiting now
  std::size_t queued_rows_max = 0;  ///< the most that ever waited
};

/// One thread that commits. [thread-safe]
class group_committer {
 public:
  /// `to` must outlive the committer.
  explicit group_committer(sealed_store& to, commit_limits limits = {});
  /// Commits what is queued, calls every completion, and stops the thread. Not to be called from a
  /// completion.
  ~group_committer();
  group_committer(const group_committer&) = delete;
  group_committer& operator=(const group_committer&) = delete;

  /// Queues a batch. `done` is called on the committer's thread, in the order of submission, after the batch
  /// is durable or has failed; it must not block, and may submit. Called before submit returns, on the
  /// caller's thread, when the batch is refused: state_overloaded (the bound), state_stopping (the committer
  /// is being destroyed), store_write_failed (a row that no store takes). Batches that shared a failed write
  /// are tried one by one, so that none suffers for another; a full disk fails all.
  void submit(sealed_batch batch, commit_done done);

  [[nodiscard]] commit_statistics statistics() const;

 private:
  struct entry {
    sealed_batch batch;
    commit_done done;
  };
  void run();
  /// Takes `e` from the caller when there is room for it.
  status queue(entry& e);
  /// With mutex_ held: the batches of the next write.
  std::vector<entry> take();
  std::vector<status> commit(const std::vector<entry>& group);
  void count(const std::vector<entry>& group, const std::vector<status>& outcomes);
  status write(const sealed_batch& batch);

  sealed_store& to_;
  const commit_limits limits_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<entry> queue_;
  commit_statistics stats_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cpns::storage
