// Hints between the nodes of one database.

#include <atomic>
#include <chrono>
#include <csignal>

#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

write_op announced(std::string_view row, std::uint64_t expected, std::string_view value = "v") {
  auto out = put(row, expected, value);
  out.announce = true;
  return out;
}

/// Counts what a node hears.
struct listener {
  std::atomic<int> heard = 0;
  std::shared_ptr<void> held;
  explicit listener(store& at) : held(at.listen([this] { ++heard; })) {}
  /// After the hint of its new connection.
  bool begins() {
    return comes_true([this] { return heard > 0; });
  }
};

TEST(postgres_hints, tell_other_nodes_of_announced_rows_and_of_no_others) {
  const auto s = server().fresh_store();
  const auto a = open(s), b = open(s);
  listener at_a(*a), at_b(*b);
  ASSERT_TRUE(at_a.begins() && at_b.begins());
  const int before = at_b.heard, own = at_a.heard;
  ASSERT_EQ(outcomes(*a, {{put("ann", 0, "a")}}), "ok");
  ASSERT_EQ(outcomes(*a, {{announced("bob", 7)}}), "conflict") << "nothing changed";
  ASSERT_EQ(outcomes(*a, {{put("cid", 0, "c"), announced("bob", 0)}}), "ok");
  EXPECT_TRUE(comes_true([&] { return at_b.heard > before; }));
  EXPECT_EQ(at_b.heard, before + 1) << "of three batches one was announced, and took effect";
  EXPECT_EQ(at_a.heard, own) << "it ignores its own changes";
}

TEST(postgres_hints, are_counted) {
  const auto s = server().fresh_store();
  const auto a = open(s), b = open(s);
  EXPECT_NE(b->hints()->state, hint_state::on) << "nobody asked for them";
  listener at_b(*b);
  ASSERT_TRUE(at_b.begins());
  EXPECT_EQ(b->hints()->state, hint_state::on);
  EXPECT_EQ(b->hints()->heard, 0U);
  ASSERT_EQ(outcomes(*a, {{announced("ann", 0)}}), "ok");
  EXPECT_TRUE(comes_true([&] { return b->hints()->heard == 1 && a->hints()->sent == 1; }));
  EXPECT_EQ(b->hints()->sent, 0U);
  EXPECT_NE(a->hints()->state, hint_state::on);
  const auto before = server().backends(s.database);
  server().sql("postgres", "ALTER DATABASE " + s.database + " ALLOW_CONNECTIONS false");
  for (const auto p : before) ::kill(p, SIGTERM);
  EXPECT_TRUE(comes_true([&] { return b->hints()->state != hint_state::on; }));
}

TEST(postgres_hints, of_many_changes_become_few) {
  const auto s = server().fresh_store();
  const auto a = open(s), b = open(s);
  listener at_b(*b);
  ASSERT_TRUE(at_b.begins());
  const int before = at_b.heard;
  const auto began = std::chrono::steady_clock::now();
  constexpr int changes = 300;
  for (int i = 0; i < changes; ++i) ASSERT_EQ(outcomes(*a, {{announced("ann", i)}}), "ok");
  const auto took = std::chrono::steady_clock::now() - began;
  ASSERT_TRUE(comes_true([&] { return at_b.heard > before; }));
  const auto most = took / milliseconds(20) + 3;
  EXPECT_LE(at_b.heard - before, most);
}

TEST(postgres_hints, come_again_after_the_connection_was_cut) {
  const auto s = server().fresh_store();
  const auto a = open(s), b = open(s);
  listener at_b(*b);
  ASSERT_TRUE(at_b.begins());
  const auto before = server().backends(s.database);
  for (const auto p : before) ::kill(p, SIGTERM);
  ASSERT_TRUE(comes_true([&] { return at_b.heard > 1; })) << "a new connection: hints may have been missed";
  const int now = at_b.heard;
  ASSERT_EQ(outcomes(*a, {{announced("ann", 0)}}), "ok");
  EXPECT_TRUE(comes_true([&] { return at_b.heard > now; }));
}

TEST(postgres_hints, come_again_after_the_server_of_the_connection_froze) {
  const auto s = impatient(server().fresh_store());
  const auto a = open(s), b = open(s);
  listener at_b(*b);
  ASSERT_TRUE(at_b.begins());
  const auto frozen = server().backends(s.database);
  for (const auto p : frozen) ASSERT_EQ(::kill(p, SIGSTOP), 0);
  const int before = at_b.heard;
  EXPECT_TRUE(comes_true([&] { return at_b.heard > before; })) << "a probe missed its limit";
  EXPECT_EQ(outcomes(*a, {{announced("ann", 0)}}), "ok");
  for (const auto p : frozen) ASSERT_EQ(::kill(p, SIGCONT), 0);
}

TEST(postgres_hints, are_sent_before_a_store_is_closed) {
  const auto s = server().fresh_store();
  const auto b = open(s);
  listener at_b(*b);
  ASSERT_TRUE(at_b.begins());
  const int before = at_b.heard;
  ASSERT_EQ(outcomes(*open(s), {{announced("ann", 0)}}), "ok");
  EXPECT_TRUE(comes_true([&] { return at_b.heard > before; })) << "of a command, which ends at once";
}

TEST(postgres_hints, wait_for_no_standby) {
  const auto s = server().fresh_store();
  const auto a = open(s), b = open(s);
  listener at_a(*a), at_b(*b);
  ASSERT_TRUE(at_a.begins() && at_b.begins());
  ASSERT_EQ(outcomes(*a, {{announced("ann", 0)}}), "ok");
  const int before = at_b.heard;
  auto other = server().session(s.database);
  server().wait_for_standby(true);
  other.sql("SELECT pg_notify('cpns_changes', 'another node')");
  EXPECT_TRUE(comes_true([&] { return at_b.heard > before; }));
  server().wait_for_standby(false);
}

TEST(postgres_hints, are_off_with_portable_statements) {
  auto s = server().fresh_store();
  s.statements = postgres_statements::portable;
  const auto a = open(s);
  EXPECT_EQ(a->listen([] {}), nullptr);
  EXPECT_FALSE(a->hints());
  ASSERT_EQ(outcomes(*a, {{announced("ann", 0)}}), "ok");
  EXPECT_EQ(server().sql(s.database,
                         "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                         "AND query LIKE '%cpns_changes%' AND query NOT LIKE '%pg_stat_activity%'"),
            "0");
}

TEST(postgres_hints, are_no_longer_heard_when_the_listener_has_ended) {
  const auto s = server().fresh_store();
  const auto a = open(s), b = open(s);
  listener first(*b), second(*b);
  ASSERT_TRUE(first.begins() || second.begins());
  first.held.reset();
  const int before = first.heard, others = second.heard;
  ASSERT_EQ(outcomes(*a, {{announced("ann", 0)}}), "ok");
  EXPECT_TRUE(comes_true([&] { return second.heard > others; }));
  EXPECT_EQ(first.heard, before);
}

}  // namespace
}  // namespace cpns::storage::testing
