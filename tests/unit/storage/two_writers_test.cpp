// The second writer of a group committer.

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <thread>

#include "storage/group_commit.hpp"
#include "storage/memory_store.hpp"
#include "support.hpp"
#include "tests/support/held_store.hpp"

namespace cpns::storage::testing {
namespace {

using names = std::vector<std::string>;

class two_writers : public ::testing::Test {
 protected:
  two_writers() : under_(memory_) {
    EXPECT_OK(create_key_file(dir_ / "kek", crypto::system_entropy()));
    const auto protector = open_key_file(dir_ / "kek");
    store_ = std::move(sealed_store::open(under_, **protector, crypto::system_entropy()).value());
    under_.hold();
    committer_ = std::make_unique<group_committer>(*store_, limits_);
  }
  ~two_writers() override { under_.let_all_go(); }
  two_writers(const two_writers&) = delete;
  two_writers& operator=(const two_writers&) = delete;

  /// One batch of rows; the completion records `name` and the outcome, and sets the result.
  std::future<void> submit(const std::string& name, sealed_batch batch) {
    auto called = std::make_shared<std::promise<void>>();
    auto out = called->get_future();
    committer_->submit(std::move(batch), [this, name, called](const status& s) {
      outcomes_.push_back(s ? name : name + " " + code(s));
      called->set_value();
    });
    return out;
  }
  std::future<void> submit(const std::string& row) { return submit(row, {seal(table::peers, row, "v")}); }
  /// Version `n` of a row: its batch is lost unless version n - 1 was written before.
  std::future<void> submit_version(const std::string& row, std::uint64_t n) {
    const auto value = std::to_string(n);
    auto op = seal(table::peers, row, value);
    op.expected = n - 1;
    return submit(row + value, {op});
  }
  /// The first writer is in its write, with one row.
  std::future<void> begin(const std::string& row) {
    auto out = submit_version(row, 1);
    under_.wait_for_writes(1);
    return out;
  }
  /// The second writer is in its write, with x and others; the first one has ended its own.
  void begin_both_and_end_the_first() {
    const auto first = begin("a");
    for (const auto* row : {"b", "c", "d"}) submit(row);
    submit_version("x", 1);
    under_.wait_for_writes(2);
    under_.let_go(1);
    first.wait();
  }
  /// All completions in the order of their calls.
  names end() {
    under_.let_all_go();
    committer_.reset();
    return outcomes_;
  }

  static constexpr commit_limits limits_{.rows_for_second_writer = 4};
  temporary_folder dir_;
  memory_store memory_;
  test::held_store under_;
  std::unique_ptr<sealed_store> store_;
  names outcomes_;  // written by the committer's threads one at a time, read after their end
  std::unique_ptr<group_committer> committer_;
};

TEST_F(two_writers, write_at_a_time_when_enough_rows_wait) {
  begin("first");
  for (const auto* row : {"a", "b", "c"}) submit(row);
  EXPECT_EQ(under_.sizes().size(), 1U) << "three rows wait";
  submit("d");
  under_.wait_for_writes(2);
  EXPECT_EQ(under_.sizes(), (std::vector<std::size_t>{1, 4}));
  for (const auto* row : {"e", "f", "g", "h"}) submit(row);
  EXPECT_EQ(under_.sizes().size(), 2U) << "both writers are busy";
  EXPECT_EQ(committer_->statistics().queued_rows, 4U);
  EXPECT_EQ(end().size(), 9U);
  EXPECT_EQ(under_.at_a_time(), 2);
}

TEST_F(two_writers, are_one_unless_the_limits_say_so) {
  committer_ = std::make_unique<group_committer>(*store_);
  begin("first");
  for (int i = 0; i < 200; ++i) submit("row" + std::to_string(i));
  EXPECT_EQ(under_.sizes().size(), 1U);
  EXPECT_EQ(end().size(), 201U);
  EXPECT_EQ(under_.at_a_time(), 1);
}

TEST_F(two_writers, are_for_shared_stores) {
  EXPECT_EQ(commit_limits_for(*store_).rows_for_second_writer, 0U);
  memory_store shared{true};
  const auto protector = open_key_file(dir_ / "kek");
  const auto sealed = sealed_store::open(shared, **protector, crypto::system_entropy()).value();
  EXPECT_EQ(commit_limits_for(*sealed).rows_for_second_writer, 64U);
}

TEST_F(two_writers, keep_the_order_of_a_row) {
  begin("a");
  submit_version("a", 2);
  const auto b_done = submit("b");
  submit_version("a", 3);
  submit("c");
  under_.wait_for_writes(2);
  EXPECT_EQ(under_.sizes(), (std::vector<std::size_t>{1, 2})) << "b and c go before what waits for a";
  under_.let_go(2);
  b_done.wait();
  submit("d");
  EXPECT_EQ(end().size(), 6U);
  EXPECT_EQ(outcomes_[0], "b");
  names of_a;
  for (const auto& o : outcomes_)
    if (o[0] == 'a') of_a.push_back(o);
  EXPECT_EQ(of_a, (names{"a1", "a2", "a3"}));
  EXPECT_EQ(read(*store_, table::peers, "a"), "3");
}

TEST_F(two_writers, do_not_overtake_a_batch_that_waits) {
  begin("a");
  auto a2 = seal(table::peers, "a", "2"), x1 = seal(table::peers, "x", "1");
  a2.expected = 1;
  x1.expected = 0;
  submit("a2 x1", {a2, x1});
  submit_version("x", 2);
  submit("b");
  under_.wait_for_writes(2);
  EXPECT_EQ(under_.sizes(), (std::vector<std::size_t>{1, 1})) << "x waits, too";
  EXPECT_EQ(end().size(), 4U);
  EXPECT_EQ(read(*store_, table::peers, "a"), "2");
  EXPECT_EQ(read(*store_, table::peers, "x"), "2");
}

TEST_F(two_writers, count_rows_of_two_tables_as_two_rows) {
  begin("a");
  for (const auto t : {table::users, table::devices, table::entities, table::gateways})
    submit(std::string(name_of(t)), {seal(t, "a", "v")});
  under_.wait_for_writes(2);
  EXPECT_EQ(under_.sizes(), (std::vector<std::size_t>{1, 4}));
  EXPECT_EQ(end().size(), 5U);
}

TEST_F(two_writers, wait_when_all_that_waits_has_the_same_row) {
  begin("a");
  for (std::uint64_t n = 2; n < 8; ++n) submit_version("a", n);
  EXPECT_EQ(under_.sizes().size(), 1U);
  for (const auto* row : {"b", "c"}) submit(row);
  EXPECT_EQ(end().size(), 9U);
  EXPECT_EQ(read(*store_, table::peers, "a"), "7") << "each version was written after the one before";
}

TEST_F(two_writers, go_on_when_the_second_one_ends_after_the_first_one) {
  begin_both_and_end_the_first();
  const auto next = submit_version("x", 2);
  EXPECT_EQ(under_.sizes().size(), 2U) << "the first writer waits for x";
  under_.let_go(2);
  under_.let_go(3);
  next.wait();
  EXPECT_EQ(end().back(), "x2");
}

TEST_F(two_writers, write_new_rows_while_all_older_ones_wait_for_the_other_writer) {
  begin_both_and_end_the_first();
  submit_version("x", 2);
  const auto beat = submit("beat");
  under_.wait_for_writes(3);
  under_.let_go(3);
  beat.wait();
  EXPECT_EQ(end().back(), "x2");
}

TEST_F(two_writers, call_an_empty_batch_after_all_before_it) {
  begin("a");
  submit("b");
  const auto empty = submit("empty", {});
  for (const auto* row : {"c", "d", "e"}) submit(row);
  under_.wait_for_writes(2);
  under_.let_go(2);
  submit("f");
  EXPECT_EQ(empty.wait_for(milliseconds(0)), std::future_status::timeout) << "a is not written";
  EXPECT_EQ(end().size(), 7U);
  const auto place = [&](const char* name) {
    return std::find(outcomes_.begin(), outcomes_.end(), name) - outcomes_.begin();
  };
  EXPECT_LT(place("a1"), place("empty"));
  EXPECT_LT(place("b"), place("empty"));
}

TEST_F(two_writers, do_not_let_an_empty_batch_wait_for_later_ones) {
  begin("a");
  const auto empty = submit("empty", {});
  for (const auto* row : {"b", "c", "d", "e"}) submit(row);
  under_.wait_for_writes(2);
  under_.let_go(1);
  empty.wait();
  EXPECT_EQ(under_.sizes().size(), 2U);
  const auto before = outcomes_;
  EXPECT_EQ(before, (names{"a1", "empty"})) << "the second write is not done";
  EXPECT_EQ(end().size(), 6U);
}

TEST_F(two_writers, tell_a_lost_race_and_a_failure_of_one_batch) {
  begin("a");
  submit_version("a", 1);  // lost: a has version 1
  submit_version("b", 2);  // lost: b does not exist
  for (const auto* row : {"c", "d"}) submit(row);
  under_.wait_for_writes(2);
  under_.let_all_go();
  submit("last", {}).wait();
  const auto stats = committer_->statistics();
  EXPECT_EQ(stats.lost, 2U);
  EXPECT_EQ(stats.batches, 4U) << "a, c, d and the empty one";
  EXPECT_EQ(stats.rows, 3U);
  EXPECT_EQ(stats.queued_rows, 0U);
  end();
  std::sort(outcomes_.begin(), outcomes_.end());
  EXPECT_EQ(outcomes_, (names{"a1", "a1 store_conflict", "b2 store_conflict", "c", "d", "last"}));
}

TEST_F(two_writers, commit_all_that_waits_before_they_end) {
  begin("a");
  for (const auto* row : {"b", "c", "d", "e"}) submit(row);
  under_.wait_for_writes(2);
  for (int i = 0; i < 100; ++i) submit("row" + std::to_string(i));
  submit_version("a", 2);
  submit("empty", {});
  std::thread ending([this] { committer_.reset(); });
  under_.let_all_go();
  ending.join();
  EXPECT_EQ(outcomes_.size(), 107U);
  EXPECT_EQ(outcomes_.back(), "empty");
  EXPECT_EQ(read(*store_, table::peers, "a"), "2");
  EXPECT_EQ(read(*store_, table::peers, "row99"), "v");
}

/// Rows of its own, and rows that others write, too; each row gets the versions 1, 2, 3, ... in the order of submission.
TEST_F(two_writers, serve_many_threads) {
  committer_ = std::make_unique<group_committer>(
      *store_, commit_limits{.rows_per_write = 8, .rows_for_second_writer = 1});
  constexpr int threads = 6, each = 600;
  std::mutex order;
  std::map<std::string, std::uint64_t> versions, called;
  std::atomic<int> inside = 0, failed = 0;
  const auto change = [&](const std::string& row) {
    const std::lock_guard lock{order};
    const auto n = ++versions[row];
    auto op = seal(table::peers, row, std::to_string(n));
    op.expected = n - 1;
    committer_->submit({op}, [&, row, n](const status& s) {
      if (inside.fetch_add(1) != 0 || !s || called[row] + 1 != n) ++failed;
      called[row] = n;
      inside.fetch_sub(1);
    });
  };
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        change(i % 3 == 0 ? "shared" + std::to_string(i % 7) : std::to_string(t) + "/" + std::to_string(i));
        if (i % 50 == 0) committer_->submit({}, [&](const status& s) { failed += s ? 0 : 1; });
      }
    });
  under_.wait_for_writes(2);
  under_.let_all_go();
  for (auto& w : workers) w.join();
  committer_.reset();
  EXPECT_EQ(failed, 0) << "a completion failed, overtook another one of its row, or ran beside one";
  for (const auto& [row, n] : versions) {
    const auto found = store_->read_one(table::peers, as_bytes(row));
    ASSERT_OK(found);
    EXPECT_EQ(found->version, n) << row;
    EXPECT_EQ(read(*store_, table::peers, row), std::to_string(n)) << row;
  }
  EXPECT_EQ(under_.at_a_time(), 2);
}

}  // namespace
}  // namespace cpns::storage::testing
