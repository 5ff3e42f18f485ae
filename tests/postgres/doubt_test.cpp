// Writes without an answer.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <future>
#include <thread>

#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

class postgres_doubt : public ::testing::TestWithParam<postgres_statements> {
 protected:
  postgres_doubt() : settings_(impatient(server().fresh_store())) {
    settings_.statements = GetParam();
    settings_.doubt = milliseconds(15'000);
    store_ = open(settings_);
    EXPECT_EQ(outcomes(*store_, {{put("ann", 0, "1")}}), "ok");
  }
  ~postgres_doubt() override { server().wait_for_standby(false); }

  /// Starts a write on a thread.
  std::future<std::string> writing(std::vector<write_batch> batches) {
    return std::async(std::launch::async,
                      [this, all = std::move(batches)] { return outcomes(*store_, all); });
  }
  bool is_stuck(const std::future<std::string>& f) {
    return f.wait_for(milliseconds(700)) == std::future_status::timeout;
  }
  bool waits_for(const std::string& event) {
    return comes_true([&] { return server().waits_for(settings_.database, event); });
  }

  postgres_settings settings_;
  std::unique_ptr<store> store_;
};

/// The first attempt waits for a standby beyond the limit; the repeated one waits for its lock.
TEST_P(postgres_doubt, decides_by_repeating_a_write_that_still_waits_for_a_standby) {
  server().wait_for_standby(true);
  auto wrote = writing({{put("ann", 1, "2")}, {put("bob", 0, "1")}});
  ASSERT_TRUE(waits_for("SyncRep"));
  ASSERT_TRUE(waits_for("transactionid")) << "the repeated write waits for the first";
  EXPECT_EQ(server().sql(settings_.database, "SELECT max(version) FROM cpns_users"), "1")
      << "not visible yet";
  server().wait_for_standby(false);
  EXPECT_EQ(wrote.get(), "ok ok");
  EXPECT_EQ(read(*store_, "ann") + " " + read(*store_, "bob"), "2:2 1:1") << "written once";
}

TEST_P(postgres_doubt, decides_a_batch_of_several_rows_as_a_whole) {
  server().wait_for_standby(true);
  auto wrote = writing({{put("ann", 1, "2"), put("bob", 0, "1"), put("eve", 0, "1", table::devices)}});
  ASSERT_TRUE(waits_for("SyncRep"));
  ASSERT_TRUE(waits_for("transactionid"));
  server().wait_for_standby(false);
  EXPECT_EQ(wrote.get(), "ok");
  EXPECT_EQ(read(*store_, "ann") + read(*store_, "bob") + read(*store_, "eve", table::devices), "2:21:11:1");
}

/// A cancelled wait answers with success and a warning; the row is visible, but no standby has it.
TEST_P(postgres_doubt, does_not_confirm_a_write_that_stopped_waiting_for_a_standby) {
  server().wait_for_standby(true);
  auto wrote = writing({{put("ann", 1, "2")}});
  ASSERT_TRUE(waits_for("SyncRep"));
  server().sql(
      "postgres",
      "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = '" +
          settings_.database + "'");
  ASSERT_TRUE(comes_true([&] { return read(*store_, "ann") == "2:2"; })) << "committed here";
  EXPECT_TRUE(is_stuck(wrote)) << "acknowledged without a standby";
  server().wait_for_standby(false);
  EXPECT_EQ(wrote.get(), "ok");
  EXPECT_EQ(read(*store_, "ann"), "2:2");
}

/// Ending the connection makes the row visible, too.
TEST_P(postgres_doubt, does_not_confirm_a_write_whose_server_process_was_ended_while_it_waited) {
  server().wait_for_standby(true);
  auto wrote = writing({{put("ann", 1, "2")}});
  ASSERT_TRUE(waits_for("SyncRep"));
  server().sql(
      "postgres",
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = '" +
          settings_.database + "'");
  ASSERT_TRUE(comes_true([&] { return read(*store_, "ann") == "2:2"; }));
  EXPECT_TRUE(is_stuck(wrote)) << "acknowledged without a standby";
  server().wait_for_standby(false);
  EXPECT_EQ(wrote.get(), "ok");
}

TEST_P(postgres_doubt, reports_an_unknown_outcome_when_the_time_is_over) {
  settings_.doubt = milliseconds(900);
  store_ = open(settings_);
  server().wait_for_standby(true);
  const auto outcome = store_->write_one({put("ann", 1, "2")});
  EXPECT_EQ(code(outcome), "store_unavailable");
  EXPECT_NE(said(outcome).find("the outcome of the write is unknown"), std::string::npos) << said(outcome);
  EXPECT_FALSE(store_->health().writable);
  server().wait_for_standby(false);
  EXPECT_TRUE(comes_true([&] { return store_->health().writable; })) << store_->health().why;
  EXPECT_EQ(read(*store_, "ann"), "2:2") << "it appeared later";
}

TEST_P(postgres_doubt, leaves_a_frozen_server_process_whose_late_write_then_loses) {
  const auto frozen = server().backends(settings_.database);
  for (const auto p : frozen) ASSERT_EQ(::kill(p, SIGSTOP), 0);
  EXPECT_EQ(outcomes(*store_, {{put("ann", 1, "2")}, {put("bob", 0, "1")}}), "ok ok")
      << "on another connection";
  EXPECT_EQ(outcomes(*store_, {{put("ann", 2, "3")}}), "ok");
  for (const auto p : frozen) ASSERT_EQ(::kill(p, SIGCONT), 0);
  const auto ended = [&] {
    const auto now = server().backends(settings_.database);
    return std::none_of(frozen.begin(), frozen.end(),
                        [&](pid_t p) { return std::count(now.begin(), now.end(), p) > 0; });
  };
  ASSERT_TRUE(comes_true(ended)) << "they do what they had received, and see the end of their connection";
  EXPECT_EQ(read(*store_, "ann") + " " + read(*store_, "bob"), "3:3 1:1");
}

/// A server process that is killed takes all others with it, and the server recovers.
TEST_P(postgres_doubt, loses_nothing_when_server_processes_are_killed_under_load) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> version{1}, unknown{0};
  std::thread load([&] {
    for (std::uint64_t v = 1; !stop;) {
      const auto done = store_->write_one({put("ann", v, std::to_string(v + 1))});
      if (done) {
        version = ++v;
        continue;
      }
      EXPECT_EQ(code(done), "store_unavailable") << said(done);
      ++unknown;
      if (const auto now = store_->get(table::users, as_bytes("ann")); now && *now) v = (*now)->version;
    }
  });
  for (int round = 0; round < 3; ++round) {
    const auto before = version.load();
    ASSERT_TRUE(comes_true([&] { return version > before + 20; }));
    for (const auto p : server().backends(settings_.database)) ::kill(p, round == 1 ? SIGTERM : SIGKILL);
  }
  const auto after = version.load();
  EXPECT_TRUE(comes_true([&] { return version > after + 20; }));
  stop = true;
  load.join();
  const auto now = store_->get(table::users, as_bytes("ann"));
  ASSERT_TRUE(now) << said(now);
  EXPECT_EQ((*now)->version, version) << "the last acknowledged write is there, and none after it";
  EXPECT_EQ(as_text((*now)->value), std::to_string(version));
  EXPECT_EQ(unknown, 0U) << "all outcomes became known";
}

INSTANTIATE_TEST_SUITE_P(kinds, postgres_doubt,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace cpns::storage::testing
