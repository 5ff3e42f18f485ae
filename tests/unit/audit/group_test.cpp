// Many callers at once: one order, few syncs, and callers that meet a rotation, a check, or a store that fails.

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "support.hpp"

namespace cpns::audit {
namespace {

namespace fs = std::filesystem;

/// Passes calls on; a save waits while the gate is shut.
class gated_anchor final : public anchor {
 public:
  explicit gated_anchor(std::unique_ptr<anchor> to) : to_(std::move(to)) {}
  result<std::optional<chain>> load() override { return to_->load(); }
  status save(const chain& c) override {
    std::unique_lock lock{guard_};
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !shut_; });
    --waiting_;
    return to_->save(c);
  }
  void shut(bool yes) {
    const std::lock_guard lock{guard_};
    shut_ = yes;
    changed_.notify_all();
  }
  void wait_for_a_save() {
    std::unique_lock lock{guard_};
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }

 private:
  std::unique_ptr<anchor> to_;
  std::mutex guard_;
  std::condition_variable changed_;
  bool shut_ = false;
  int waiting_ = 0;
};

class trail_group : public trail_test {
 protected:
  template <class Act>
  void in_threads(int count, Act act) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back([&act, i] { act(i); });
    for (auto& t : threads) t.join();
  }
};

TEST_F(trail_group, has_one_chain_with_an_outcome_for_each_intent) {
  constexpr int threads = 8, each = 25;
  const auto t = must_open();
  std::atomic<int> failed{0};
  in_threads(threads, [&](int i) {
    for (int k = 0; k < each; ++k) {
      auto ticket = t->begin(add(std::to_string(i) + "-" + std::to_string(k)));
      if (!ticket || !t->finish(std::move(*ticket), {})) ++failed;
    }
  });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(fault(), "whole");
  std::set<std::int64_t> open;
  for (const auto& l : objects()) {
    if (text(l, "kind") == "intent") open.insert(l.at("number").as_int64());
    if (text(l, "kind") == "outcome") {
      EXPECT_EQ(open.erase(l.at("intent").as_int64()), 1U);
    }
  }
  EXPECT_TRUE(open.empty());
  const auto s = t->statistics();
  EXPECT_EQ(s.lines, 1U + 2 * threads * each);
  EXPECT_EQ(s.open, 0U);
}

TEST_F(trail_group, shares_one_sync_among_all_that_wait) {
  auto gate = std::make_unique<gated_anchor>(store_anchor(*sealed));
  auto& g = *gate;
  trail_options o;
  const auto t = trail::open(file, std::move(gate), random, {}, o).value();
  const auto before = t->statistics().batches;
  g.shut(true);
  std::thread first([&] { t->refused(add("first"), "no rights"); });
  g.wait_for_a_save();
  // The file has the first line; all others wait for its turn to end.
  std::vector<std::thread> others;
  for (int i = 0; i < 20; ++i)
    others.emplace_back([&t, i] {
      auto c = add("other" + std::to_string(i));
      c.who.uid = 5000 + static_cast<std::uint32_t>(i);
      t->refused(c, "no rights");
    });
  while (t->statistics().refusals < 21) std::this_thread::yield();
  g.shut(false);
  first.join();
  for (auto& other : others) other.join();
  EXPECT_EQ(lines().size(), 22U);
  EXPECT_LT(t->statistics().batches - before, 21U) << "at least two lines shared a sync";
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_group, is_checked_and_rotated_while_lines_are_written) {
  const auto t = must_open();
  std::atomic<bool> over{false};
  std::atomic<int> checks{0};
  std::vector<fs::path> older;
  std::thread other([&] {
    for (int i = 0; i < 10 && !over; ++i) {
      const auto moved = folder / ("old" + std::to_string(i));
      fs::rename(file, moved);
      older.push_back(moved);
      if (i % 2 == 0) {
        EXPECT_TRUE(t->reopen());
      }
      const auto r = t->check(older);
      ASSERT_TRUE(r) << r.error().message();
      EXPECT_TRUE(r->whole()) << r->faults.front().message();
      ++checks;
    }
  });
  in_threads(4, [&](int i) {
    for (int k = 0; k < 25; ++k) make_change(*t, std::to_string(i) + "-" + std::to_string(k));
  });
  over = true;
  other.join();
  EXPECT_GT(checks, 0);
  EXPECT_EQ(fault(older), "whole");
  EXPECT_EQ(report(older).last, 1U + 2 * 4 * 25);
}

TEST_F(trail_group, refuses_changes_while_the_store_takes_no_head_and_closes_them_later) {
  const auto t = must_open();
  under.fail_writes(errc::store_full);
  std::atomic<int> refused{0};
  in_threads(4, [&](int i) {
    const auto ticket = t->begin(add("lost" + std::to_string(i)));
    if (!ticket && ticket.error() == errc::store_full) ++refused;
  });
  EXPECT_EQ(refused, 4);
  EXPECT_FALSE(t->health().writable);
  const auto in_file = lines().size();
  EXPECT_LE(in_file, 1U + 4);
  EXPECT_FALSE(t->begin(add("another")));
  EXPECT_EQ(lines().size(), in_file) << "at most one batch is ahead of the store";
  under.repair();
  make_change(*t, "alice");
  EXPECT_TRUE(t->health().writable);
  EXPECT_EQ(t->statistics().open, 0U);
  std::size_t intents = 0, not_done = 0;
  for (const auto& l : objects()) {
    if (text(l, "kind") == "intent") ++intents;
    if (text(l, "outcome") == "not_done") ++not_done;
  }
  EXPECT_EQ(intents, not_done + 1) << "each intent in the file whose change was refused has such an outcome";
  EXPECT_EQ(fault(), "whole");
}

}  // namespace
}  // namespace cpns::audit
