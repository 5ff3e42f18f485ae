#pragma once
// Two threads that use one store in a given order, so that a test sees each race, and each time the same one.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <vector>

#include "storage/forwarding_store.hpp"

namespace cpns::test {

/// Whose call of the store is next. Calls beyond the order go on at once. [thread-safe]
class step_order {
 public:
  /// Until then, all calls go on at once.
  void begin(const std::vector<int>& order) {
    const std::lock_guard lock{guard_};
    order_.assign(order.begin(), order.end());
  }
  /// Runs `call` when it is the turn of `who`.
  template <class Call>
  auto step(int who, const Call& call) {
    std::unique_lock lock{guard_};
    changed_.wait(lock, [&] { return order_.empty() || order_.front() == who; });
    auto out = call();
    if (!order_.empty()) order_.pop_front();
    skip();
    return out;
  }
  /// `who` makes no more calls.
  void ended(int who) {
    const std::lock_guard lock{guard_};
    ended_.insert(who);
    skip();
  }
  /// Each order of `steps` calls of 0 and as many of 1.
  static std::vector<std::vector<int>> all(std::size_t steps) {
    std::vector<int> next(steps, 0);
    next.insert(next.end(), steps, 1);
    std::vector<std::vector<int>> out;
    do out.push_back(next);
    while (std::next_permutation(next.begin(), next.end()));
    return out;
  }

 private:
  void skip() {
    while (!order_.empty() && ended_.contains(order_.front())) order_.pop_front();
    changed_.notify_all();
  }

  std::mutex guard_;
  std::condition_variable changed_;
  std::deque<int> order_;
  std::set<int> ended_;
};

/// The calls of `who`: reads, writes, and slices of the table meta are steps.
class stepped_store final : public storage::forwarding_store {
 public:
  stepped_store(storage::store& under, step_order& order, int who)
      : forwarding_store(under), order_(order), who_(who) {}
  ~stepped_store() override { order_.ended(who_); }
  stepped_store(const stepped_store&) = delete;
  stepped_store& operator=(const stepped_store&) = delete;

  result<std::vector<std::optional<storage::stored_value>>>
  read(std::span<const storage::row_name> names) const override {
    return order_.step(who_, [&] { return under_.read(names); });
  }
  std::vector<status> write(std::span<const storage::write_batch> batches) override {
    return order_.step(who_, [&] { return under_.write(batches); });
  }
  result<std::vector<storage::stored_row>> slice(storage::table t, byte_view after,
                                                 std::size_t limit) const override {
    if (t != storage::table::meta) return under_.slice(t, after, limit);
    return order_.step(who_, [&] { return under_.slice(t, after, limit); });
  }

 private:
  step_order& order_;
  const int who_;
};

}  // namespace cpns::test
