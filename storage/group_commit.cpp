#include "storage/group_commit.hpp"

#include <algorithm>
#include <chrono>

namespace cpns::storage {

group_committer::group_committer(sealed_store& to, commit_limits limits, commit_metrics measured)
    : to_(to), limits_(limits), measured_(measured), thread_([this] { run(); }) {}

group_committer::~group_committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void group_committer::submit(sealed_batch batch, commit_done done) {
  const auto rows = batch.size();
  entry e{std::move(batch), std::move(done), rows};
  auto accepted = check_batch(e.batch);
  if (accepted) accepted = queue(e);
  if (!accepted)
    e.done(accepted);
  else
    wake_.notify_one();
}

status group_committer::queue(entry& e) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return fail(errc::state_stopping, "the store is closing and accepts no more writes");
  if (e.batch.size() > limits_.queued_rows - std::min(stats_.queued_rows, limits_.queued_rows)) {
    ++stats_.refused;
    return fail(errc::state_overloaded, std::to_string(stats_.queued_rows) +
                                            " rows wait for the store, the limit is " +
                                            std::to_string(limits_.queued_rows));
  }
  stats_.queued_rows += e.batch.size();
  stats_.queued_rows_max = std::max(stats_.queued_rows_max, stats_.queued_rows);
  queue_.push_back(std::move(e));
  return {};
}

commit_statistics group_committer::statistics() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void group_committer::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto group = take();
    lock.unlock();
    auto outcomes = commit(group);
    count(group, outcomes);
    for (std::size_t i = 0; i < group.size(); ++i) group[i].done(outcomes[i]);
    // Rows hold secrets, completions hold their captures: free both before the next wait.
    group.clear();
    lock.lock();
  }
}

std::vector<group_committer::entry> group_committer::take() {
  std::vector<entry> group;
  std::size_t rows = 0;
  while (!queue_.empty()) {
    const auto size = queue_.front().batch.size();
    if (!group.empty() && rows + size > limits_.rows_per_write) break;
    rows += size;
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  stats_.queued_rows -= rows;
  return group;
}

std::vector<status> group_committer::commit(std::vector<entry>& group) {
  std::vector<sealed_batch> batches;
  std::size_t rows = 0;
  for (auto& e : group) {
    rows += e.rows;
    batches.push_back(std::move(e.batch));
  }
  if (rows == 0) return std::vector<status>(group.size());
  {
    const std::lock_guard lock(mutex_);
    ++stats_.writes;
  }
  const auto began = std::chrono::steady_clock::now();
  auto outcomes = to_.write_all(batches);
  measured_.time.observe(std::chrono::steady_clock::now() - began);
  measured_.rows.observe(static_cast<double>(rows));
  return outcomes;
}

void group_committer::count(const std::vector<entry>& group, const std::vector<status>& outcomes) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (!outcomes[i] && outcomes[i].error() == errc::store_conflict) {
      ++stats_.lost;
      continue;
    }
    if (!outcomes[i]) {
      ++stats_.failed;
      continue;
    }
    ++stats_.batches;
    stats_.rows += group[i].rows;
  }
}

}  // namespace cpns::storage
