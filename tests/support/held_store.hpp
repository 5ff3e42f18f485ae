#pragma once
// A store whose writes wait until a test lets them go, so that the test sees what happens during them.

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <vector>

#include "storage/forwarding_store.hpp"

namespace cpns::test {

/// Forwards each call to `under`, which must outlive it; writes wait before. They have numbers from 1 on, in the order in which
/// they begin. [thread-safe]
class held_store final : public storage::forwarding_store {
 public:
  explicit held_store(storage::store& under) : forwarding_store(under) {}

  /// From now on writes wait.
  void hold() {
    const std::lock_guard lock{guard_};
    all_go_ = false;
    sizes_.clear();
    going_.clear();
  }
  void let_go(std::size_t number) {
    const std::lock_guard lock{guard_};
    going_.insert(number);
    changed_.notify_all();
  }
  void let_all_go() {
    const std::lock_guard lock{guard_};
    all_go_ = true;
    changed_.notify_all();
  }
  /// Until so many writes began since hold().
  void wait_for_writes(std::size_t count) {
    std::unique_lock lock{guard_};
    changed_.wait(lock, [&] { return sizes_.size() >= count; });
  }
  /// The batches of each write since hold().
  [[nodiscard]] std::vector<std::size_t> sizes() const {
    const std::lock_guard lock{guard_};
    return sizes_;
  }
  /// The largest number of writes that ran at a time.
  [[nodiscard]] int at_a_time() const {
    const std::lock_guard lock{guard_};
    return most_;
  }

  std::vector<status> write(std::span<const storage::write_batch> batches) override {
    {
      std::unique_lock lock{guard_};
      sizes_.push_back(batches.size());
      most_ = std::max(most_, ++running_);
      changed_.notify_all();
      changed_.wait(lock, [&, number = sizes_.size()] { return all_go_ || going_.contains(number); });
    }
    auto out = under_.write(batches);
    const std::lock_guard lock{guard_};
    --running_;
    return out;
  }

 private:
  mutable std::mutex guard_;
  std::condition_variable changed_;
  bool all_go_ = true;
  std::set<std::size_t> going_;
  std::vector<std::size_t> sizes_;
  int running_ = 0, most_ = 0;
};

}  // namespace cpns::test
