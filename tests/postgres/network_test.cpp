// A network between a store and its PostgreSQL that freezes, delays an answer, or breaks in the middle of one.

#include <algorithm>
#include <chrono>
#include <future>

#include "tests/postgres/support.hpp"
#include "tests/support/postgres_proxy.hpp"

namespace cpns::storage::testing {
namespace {

using test::postgres_fault;
using deed = postgres_fault::deed;

class postgres_network : public ::testing::TestWithParam<postgres_statements> {
 protected:
  postgres_network() {
    settings_ = impatient(proxy_.through(direct_));
    settings_.statements = GetParam();
    settings_.doubt = milliseconds(15'000);
    reopen();
    EXPECT_EQ(outcomes(*store_, {{put("ann", 0, "1")}}), "ok");
  }
  ~postgres_network() override { proxy_.freeze(false); }

  void reopen() {
    store_.reset();
    store_ = open(settings_);
  }
  std::future<std::string> writing(std::vector<write_batch> batches) {
    return std::async(std::launch::async,
                      [this, all = std::move(batches)] { return outcomes(*store_, all); });
  }
  /// At the end of the next pipeline.
  static postgres_fault at_next_answer(deed does, milliseconds time = {}) {
    postgres_fault out;
    out.at = {'S', ""};
    out.does = does;
    out.time = time;
    return out;
  }

  const postgres_settings direct_ = server().fresh_store();
  test::postgres_proxy proxy_{server().port()};
  postgres_settings settings_;
  std::unique_ptr<store> store_;
};

TEST_P(postgres_network, leaves_a_frozen_connection_at_its_limit_and_says_that_the_outcome_is_unknown) {
  settings_.doubt = milliseconds(900);
  reopen();
  proxy_.freeze(true);
  const auto began = std::chrono::steady_clock::now();
  const auto wrote = store_->write_one({put("ann", 1, "2")});
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(code(wrote), "store_unavailable");
  EXPECT_GE(took, settings_.statement);
  EXPECT_LT(took, seconds(10)) << "the network stays frozen for ever";
  EXPECT_FALSE(store_->health().writable);
  const auto got = store_->get(table::users, as_bytes("ann"));
  EXPECT_EQ(code(got), "store_unavailable");
  proxy_.freeze(false);
  ASSERT_TRUE(comes_true([&] { return store_->health().writable; })) << store_->health().why;
  // The frozen write may come late. Then one that expects the version before loses, and is not confirmed.
  const auto again = outcomes(*store_, {{put("ann", 1, "3")}});
  const auto now = read(*store_, "ann");
  EXPECT_EQ(again + " " + now, now == "2:3" ? "ok 2:3" : "conflict 2:2");
}

TEST_P(postgres_network, decides_a_write_when_a_frozen_network_passes_again) {
  proxy_.freeze(true);
  auto wrote = writing({{put("ann", 1, "2")}, {put("bob", 0, "1")}});
  EXPECT_EQ(wrote.wait_for(settings_.statement * 2), std::future_status::timeout) << "it tries again";
  proxy_.freeze(false);
  EXPECT_EQ(wrote.get(), "ok ok");
  EXPECT_EQ(read(*store_, "ann") + " " + read(*store_, "bob"), "2:2 1:1") << "once";
}

/// Its COMMIT comes after the answers to its rows, so that the outcome is never in doubt.
TEST_P(postgres_network, writes_nothing_of_a_batch_of_several_rows_that_began_while_it_was_frozen) {
  proxy_.freeze(true);
  EXPECT_EQ(outcomes(*store_, {{put("ann", 1, "2"), put("eve", 0, "1")}}), "store_unavailable");
  proxy_.freeze(false);
  ASSERT_TRUE(comes_true([&] { return store_->health().writable; })) << store_->health().why;
  EXPECT_EQ(outcomes(*store_, {{put("ann", 1, "3"), put("eve", 0, "2")}}), "ok");
  EXPECT_EQ(read(*store_, "ann") + " " + read(*store_, "eve"), "2:3 1:2");
}

TEST_P(postgres_network, waits_for_an_answer_that_comes_within_the_limit) {
  proxy_.arm({at_next_answer(deed::hold, milliseconds(100))});
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(outcomes(*store_, {{put("ann", 1, "2")}}), "ok");
  EXPECT_GE(std::chrono::steady_clock::now() - began, milliseconds(100));
  EXPECT_EQ(proxy_.left(), 0U);
  const auto heard = proxy_.heard();
  EXPECT_EQ(std::count_if(heard.begin(), heard.end(), [](const auto& m) { return m.type == 'A'; }), 0)
      << "on the same connection";
}

TEST_P(postgres_network, repeats_a_write_whose_answer_comes_too_late_and_writes_it_once) {
  proxy_.arm({at_next_answer(deed::hold, milliseconds(1500))});
  EXPECT_EQ(outcomes(*store_, {{put("ann", 1, "2")}, {put("bob", 0, "1")}}), "ok ok");
  EXPECT_EQ(proxy_.left(), 0U);
  EXPECT_EQ(read(*store_, "ann") + " " + read(*store_, "bob"), "2:2 1:1");
}

TEST_P(postgres_network, decides_a_write_whose_connections_are_cut_while_it_waits_for_its_answer) {
  proxy_.arm({at_next_answer(deed::hold, milliseconds(300))});
  auto wrote = writing({{put("ann", 1, "2")}});
  ASSERT_TRUE(comes_true([&] { return proxy_.left() == 0; }));
  proxy_.cut();
  EXPECT_EQ(wrote.get(), "ok");
  EXPECT_EQ(read(*store_, "ann"), "2:2");
  proxy_.cut();
  EXPECT_EQ(read(*store_, "ann"), "2:2") << "on a new connection";
}

/// What has to be refused is refused before the database sees a part of it.
TEST_P(postgres_network, carries_nothing_of_a_batch_that_names_a_row_twice) {
  proxy_.arm({});
  EXPECT_EQ(code(store_->write_one({put("bob", 0, "1"), put("bob", 1, "2")})), "store_write_failed");
  EXPECT_TRUE(proxy_.heard().empty());
}

INSTANTIATE_TEST_SUITE_P(dialects, postgres_network,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& p) { return std::string(name_of(p.param)); });

}  // namespace
}  // namespace cpns::storage::testing
