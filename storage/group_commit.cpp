#include "storage/group_commit.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <unordered_set>

namespace cpns::storage {

namespace {

/// Bounds the time that submit() waits for a walk through the queue.
constexpr std::size_t skipped_max = 1024;
constexpr std::size_t second_writer_rows = 64;

/// The names of rows of batches that outlive it.
class row_set {
 public:
  void add(const sealed_batch& batch) {
    for (const auto& op : batch) rows_.insert({op.table, as_text(op.row)});
  }
  [[nodiscard]] bool meets(const sealed_batch& batch) const {
    if (rows_.empty()) return false;
    return std::any_of(batch.begin(), batch.end(), [this](const sealed_op& op) {
      return rows_.contains({op.table, as_text(op.row)});
    });
  }

 private:
  using name = std::pair<table, std::string_view>;
  struct hash {
    std::size_t operator()(const name& n) const {
      return std::hash<std::string_view>{}(n.second) + static_cast<std::size_t>(n.first);
    }
  };
  std::unordered_set<name, hash> rows_;
};

}  // namespace

commit_limits commit_limits_for(const sealed_store& to) {
  commit_limits out;
  if (to.shared()) out.rows_for_second_writer = second_writer_rows;
  return out;
}

/// Takes batches from the front of the queue on. One that shares a row with the other writer's group, or with a batch that
/// was skipped, is skipped and stays in its place, so that a row keeps the order of its batches. It is not skipped for
/// ever: no batch behind it takes its rows.
class group_committer::walk {
 public:
  walk(std::deque<entry>& queue, const group& other, std::size_t rows_max)
      : queue_(queue), other_(other), rows_max_(rows_max) {
    for (const auto& batch : other.batches) taken_.add(batch);
  }

  group run() {
    group out;
    auto at = queue_.begin();
    auto kept = at;
    for (; at != queue_.end() && kept - queue_.begin() < static_cast<std::ptrdiff_t>(skipped_max); ++at) {
      const bool skip = must_wait(*at, kept != queue_.begin());
      if (!skip && !out.batches.empty() && out.rows + at->batch.size() > rows_max_) break;
      if (!skip) {
        add(out, *at);
        continue;
      }
      taken_.add(at->batch);
      if (kept != at) *kept = std::move(*at);
      ++kept;
    }
    queue_.erase(kept, at);
    return out;
  }

 private:
  /// An empty batch waits for all before it.
  [[nodiscard]] bool must_wait(const entry& e, bool some_wait) const {
    if (!e.batch.empty()) return taken_.meets(e.batch);
    return some_wait || (!other_.batches.empty() && other_.first < e.number);
  }
  static void add(group& to, entry& e) {
    if (to.batches.empty()) to.first = e.number;
    to.rows += e.batch.size();
    to.batches.push_back(std::move(e.batch));
    to.done.push_back(std::move(e.done));
  }

  std::deque<entry>& queue_;
  const group& other_;
  const std::size_t rows_max_;
  row_set taken_;
};

group_committer::group_committer(sealed_store& to, commit_limits limits, commit_metrics measured)
    : to_(to), limits_(limits), measured_(measured), first_([this] { run(0); }) {
  if (limits_.rows_for_second_writer > 0) second_ = std::thread([this] { run(1); });
}

group_committer::~group_committer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  for (auto& w : wake_) w.notify_one();
  first_.join();
  if (second_.joinable()) second_.join();
}

void group_committer::submit(sealed_batch batch, commit_done done) {
  entry e{std::move(batch), std::move(done), 0};
  auto accepted = check_batch(e.batch);
  if (accepted) accepted = queue(e);
  if (!accepted) e.done(accepted);
}

status group_committer::queue(entry& e) {
  bool for_second = false;
  {
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
    e.number = submitted_++;
    queue_.push_back(std::move(e));
    for_second = has_work(1);
  }
  wake_[0].notify_one();
  if (for_second) wake_[1].notify_one();
  return {};
}

commit_statistics group_committer::statistics() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

bool group_committer::has_work(std::size_t who) const {
  if (who == 0) return !queue_.empty();
  return limits_.rows_for_second_writer > 0 && stats_.queued_rows >= limits_.rows_for_second_writer &&
         !groups_[0].batches.empty();
}

bool group_committer::wait_for_group(std::size_t who, std::unique_lock<std::mutex>& lock) {
  // All that waited then has to wait for the other writer.
  std::optional<std::uint64_t> stuck_at;
  while (true) {
    wake_[who].wait(lock, [&] { return has_work(who) ? stuck_at != turns_ + submitted_ : stopping_; });
    if (!has_work(who)) return false;
    take(who);
    if (!groups_[who].batches.empty()) return true;
    stuck_at = turns_ + submitted_;
  }
}

void group_committer::take(std::size_t who) {
  groups_[who] = walk(queue_, groups_[1 - who], limits_.rows_per_write).run();
  if (groups_[who].batches.empty()) return;
  stats_.queued_rows -= groups_[who].rows;
  ++turns_;
  if (has_work(1)) wake_[1].notify_one();
}

void group_committer::run(std::size_t who) {
  std::unique_lock lock(mutex_);
  while (wait_for_group(who, lock)) {
    lock.unlock();
    write(groups_[who]);
    lock.lock();
    {
      // Rows hold secrets, completions hold their captures: free both before the next wait, without the lock.
      const auto written = std::exchange(groups_[who], {});
      ++turns_;
      lock.unlock();
      wake_[1 - who].notify_one();
    }
    lock.lock();
  }
}

void group_committer::write(const group& g) {
  const auto outcomes = commit(g);
  count(g, outcomes);
  const std::lock_guard one_at_a_time(completing_);
  for (std::size_t i = 0; i < g.done.size(); ++i) g.done[i](outcomes[i]);
}

std::vector<status> group_committer::commit(const group& g) {
  if (g.rows == 0) return std::vector<status>(g.batches.size());
  {
    const std::lock_guard lock(mutex_);
    ++stats_.writes;
  }
  const auto began = std::chrono::steady_clock::now();
  auto outcomes = to_.write_all(g.batches);
  measured_.time.observe(std::chrono::steady_clock::now() - began);
  measured_.rows.observe(static_cast<double>(g.rows));
  return outcomes;
}

void group_committer::count(const group& g, const std::vector<status>& outcomes) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i] && outcomes[i].error() == errc::store_conflict) {
      ++stats_.lost;
      continue;
    }
    if (!outcomes[i]) {
      ++stats_.failed;
      continue;
    }
    ++stats_.batches;
    stats_.rows += g.batches[i].size();
  }
}

}  // namespace cpns::storage
