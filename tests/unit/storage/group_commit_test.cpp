#include "storage/group_commit.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "storage/store_metrics.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

/// Blocks the committer in its first completion, so that a test can queue further batches.
class gate {
 public:
  commit_done hold() {
    return [this](const status&) {
      reached_.set_value();
      opened_.get_future().wait();
    };
  }
  void wait_until_reached() { reached_.get_future().wait(); }
  void open() { opened_.set_value(); }

 private:
  std::promise<void> reached_;
  std::promise<void> opened_;
};

class group_commit : public ::testing::Test {
 protected:
  group_commit() : under_(memory_) {
    EXPECT_OK(create_key_file(dir_ / "kek", crypto::system_entropy()));
    const auto protector = open_key_file(dir_ / "kek");
    store_ = std::move(sealed_store::open(under_, **protector, crypto::system_entropy()).value());
    first_write_ = under_.writes() + 1;
  }
  /// Submits one row; the completion records its name and outcome.
  void submit(group_committer& c, const std::string& row) {
    c.submit({seal(table::peers, row, "v")},
             [this, row](const status& s) { outcomes_.push_back(row + " " + code(s)); });
  }
  temporary_folder dir_;
  memory_store memory_;
  faulty_store under_;
  std::unique_ptr<sealed_store> store_;
  std::uint64_t first_write_ = 0;
  std::vector<std::string> outcomes_;  // written by the committer's thread, read after its end
};

TEST_F(group_commit, combines_the_batches_that_arrive_during_a_write) {
  {
    gate g;
    group_committer c(*store_);
    c.submit({seal(table::peers, "first", "v")}, g.hold());
    g.wait_until_reached();
    for (const auto* row : {"a", "b", "c"}) submit(c, row);
    c.submit({}, [this](const status& s) { outcomes_.push_back("empty " + code(s)); });
    EXPECT_EQ(c.statistics().queued_rows, 3U);
    g.open();
  }
  EXPECT_EQ(outcomes_, (std::vector<std::string>{"a ok", "b ok", "c ok", "empty ok"}));
  EXPECT_EQ(under_.writes() + 1 - first_write_, 2U);
  for (const auto* row : {"a", "b", "c"}) EXPECT_EQ(read(*store_, table::peers, row), "v");
}

TEST_F(group_commit, measures_its_writes) {
  metrics::registry counted;
  {
    gate g;
    group_committer c(*store_, {}, make_commit_metrics(counted));
    collect_store(counted, *store_, c, dir_.path());
    c.submit({seal(table::peers, "first", "v")}, g.hold());
    g.wait_until_reached();
    for (const auto* row : {"a", "b", "c"}) submit(c, row);
    EXPECT_NE(counted.text().find("cpns_store_queued_rows 3\n"), std::string::npos) << counted.text();
    EXPECT_NE(counted.text().find("cpns_store_size_bytes "), std::string::npos) << counted.text();
    g.open();
  }
}

TEST_F(group_commit, counts_the_rows_of_each_write) {
  metrics::registry counted;
  {
    gate g;
    group_committer c(*store_, {}, make_commit_metrics(counted));
    c.submit({seal(table::peers, "first", "v")}, g.hold());
    g.wait_until_reached();
    for (const auto* row : {"a", "b", "c"}) submit(c, row);
    g.open();
  }
  const auto text = counted.text();
  for (const auto* line :
       {"cpns_store_write_rows_bucket{le=\"1\"} 1\n", "cpns_store_write_rows_bucket{le=\"4\"} 2\n",
        "cpns_store_write_rows_sum 4\n", "cpns_store_write_seconds_count 2\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
}

TEST_F(group_commit, completes_a_batch_after_its_row_is_durable) {
  group_committer c(*store_);
  std::promise<std::string> seen;
  c.submit({seal(table::peers, "a", "v")},
           [&](const status&) { seen.set_value(read(*store_, table::peers, "a")); });
  EXPECT_EQ(seen.get_future().get(), "v");
}

TEST_F(group_commit, fails_only_the_batch_that_lost_a_race) {
  {
    gate g;
    group_committer c(*store_);
    c.submit({seal(table::peers, "first", "v")}, g.hold());
    g.wait_until_reached();
    submit(c, "a");
    auto late = seal(table::peers, "b", "v");
    late.expected = 1;
    c.submit({late}, [this](const status& s) { outcomes_.push_back("b " + code(s)); });
    submit(c, "c");
    g.open();
  }
  EXPECT_EQ(outcomes_, (std::vector<std::string>{"a ok", "b store_conflict", "c ok"}));
  EXPECT_EQ(read(*store_, table::peers, "b"), "(none)");
  EXPECT_EQ(read(*store_, table::peers, "c"), "v");
}

TEST_F(group_commit, fails_all_without_a_retry_when_the_disk_is_full) {
  {
    gate g;
    group_committer c(*store_);
    c.submit({seal(table::peers, "first", "v")}, g.hold());
    g.wait_until_reached();
    under_.fail_writes(errc::store_full);
    for (const auto* row : {"a", "b"}) submit(c, row);
    g.open();
  }
  EXPECT_EQ(outcomes_, (std::vector<std::string>{"a store_full", "b store_full"}));
  EXPECT_EQ(under_.writes() + 1 - first_write_, 2U);
}

TEST_F(group_commit, goes_on_when_there_is_space_again) {
  group_committer c(*store_);
  const auto outcome = [&](const std::string& row) {
    std::promise<std::string> done;
    c.submit({seal(table::peers, row, "v")}, [&done](const status& s) { done.set_value(code(s)); });
    return done.get_future().get();
  };
  under_.fail_writes(errc::store_full);
  EXPECT_EQ(outcome("a"), "store_full");
  under_.repair();
  EXPECT_EQ(outcome("a"), "ok");
  EXPECT_EQ(c.statistics().failed, 1U);
}

TEST_F(group_commit, refuses_a_batch_at_once_when_it_exceeds_the_bounds) {
  gate g;
  group_committer c(*store_, {2, 1024});
  c.submit({seal(table::peers, "first", "v")}, g.hold());
  g.wait_until_reached();
  submit(c, "a");
  std::string outcome;
  const auto note = [&outcome](const status& s) { outcome = code(s); };
  c.submit({seal(table::peers, "b", "v"), seal(table::peers, "c", "v")}, note);
  EXPECT_EQ(outcome, "state_overloaded");
  c.submit({seal(table::peers, "", "v")}, note);
  EXPECT_EQ(outcome, "store_write_failed");
  EXPECT_EQ(c.statistics().refused, 1U);
  g.open();
}

TEST_F(group_commit, splits_a_long_queue_but_never_a_batch) {
  {
    gate g;
    group_committer c(*store_, {100, 2});
    c.submit({seal(table::peers, "first", "v")}, g.hold());
    g.wait_until_reached();
    for (const auto* row : {"a", "b", "c"}) submit(c, row);
    c.submit({seal(table::peers, "d", "v"), seal(table::peers, "e", "v"), seal(table::peers, "f", "v")},
             [this](const status& s) { outcomes_.push_back("def " + code(s)); });
    g.open();
  }
  EXPECT_EQ(outcomes_, (std::vector<std::string>{"a ok", "b ok", "c ok", "def ok"}));
  EXPECT_EQ(under_.writes() + 1 - first_write_, 4U) << "first; a b; c; d e f";
}

TEST_F(group_commit, refuses_new_batches_while_it_is_destroyed) {
  std::string late = "(not called)";
  {
    auto c = std::make_unique<group_committer>(*store_);
    auto* committer = c.get();
    std::promise<void> running;
    std::promise<void> ending;
    auto ended = ending.get_future();
    c->submit({seal(table::peers, "a", "v")}, [&](const status&) {
      running.set_value();
      ended.wait();
      // The destructor sets the flag before it joins this thread; until then batches are accepted.
      while (late != "state_stopping") {
        committer->submit({}, [&late](const status& s) {
          if (!s) late = code(s);
        });
        std::this_thread::yield();
      }
    });
    running.get_future().wait();
    submit(*c, "b");
    ending.set_value();
    c.reset();
  }
  EXPECT_EQ(late, "state_stopping");
  EXPECT_EQ(outcomes_, (std::vector<std::string>{"b ok"})) << "queued batches are committed";
}

TEST_F(group_commit, serves_many_threads) {
  constexpr int threads = 8;
  constexpr int each = 500;
  std::atomic<int> succeeded = 0;
  std::array<std::vector<int>, threads> order;
  commit_statistics stats;
  {
    group_committer c(*store_);
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t)
      workers.emplace_back([&, t] {
        for (int i = 0; i < each; ++i)
          c.submit({seal(table::peers, std::to_string(t) + "/" + std::to_string(i), "v")},
                   [&, t, i](const status& s) {
                     if (s) ++succeeded;
                     order[static_cast<std::size_t>(t)].push_back(i);
                   });
      });
    for (auto& w : workers) w.join();
    std::promise<void> all;
    c.submit({}, [&all](const status&) { all.set_value(); });
    all.get_future().wait();
    stats = c.statistics();
  }
  EXPECT_EQ(succeeded, threads * each);
  for (const auto& o : order)
    EXPECT_TRUE(std::is_sorted(o.begin(), o.end())) << "completions overtook each other";
  EXPECT_EQ(stats.rows, static_cast<std::uint64_t>(threads * each));
  EXPECT_EQ(stats.queued_rows, 0U);
  EXPECT_LT(stats.writes, stats.rows) << "nothing was committed together";
  std::size_t seen = 0;
  EXPECT_OK(store_->scan(table::peers, {}, [&seen](byte_view, const secret_bytes&) { return ++seen > 0; }));
  EXPECT_EQ(seen, static_cast<std::size_t>(threads * each));
}

}  // namespace
}  // namespace cpns::storage::testing
