// What a status shows of a database.

#include <csignal>

#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

TEST(postgres_view, tells_the_host_in_use_and_the_times_of_writes) {
  auto s = server().fresh_store();
  s.hosts.insert(s.hosts.begin(), {"127.0.0.1", 1});  // nobody listens there
  s.tls = postgres_tls::disable;
  const auto store = open(s);
  ASSERT_TRUE(store);
  auto view = store->database().value();
  EXPECT_EQ(view.statements, "batch");
  EXPECT_EQ(view.hosts, 2U);
  EXPECT_EQ(view.host, std::size_t{1});
  EXPECT_EQ(view.writes.writes, 0U);
  ASSERT_EQ(outcomes(*store, {{put("ann", 0, "a")}, {put("bob", 0, "b")}}), "ok ok");
  view = store->database().value();
  EXPECT_EQ(view.writes.writes, 1U);
  EXPECT_GT(view.writes.median_ms, 0);
  EXPECT_GE(view.writes.p99_ms, view.writes.median_ms);
}

TEST(postgres_view, has_the_time_of_a_write_that_missed_a_limit) {
  auto s = impatient(server().fresh_store());
  const auto store = open(s);
  ASSERT_TRUE(store->database()->host.has_value());
  const auto frozen = server().backends(s.database);
  for (const auto p : frozen) ASSERT_EQ(::kill(p, SIGSTOP), 0);
  EXPECT_EQ(outcomes(*store, {{put("ann", 0, "a")}}), "ok") << "on a new connection";
  EXPECT_GE(store->database()->writes.p99_ms, static_cast<double>(s.statement.count()))
      << "a limit was missed";
  EXPECT_TRUE(store->database()->host.has_value());
  for (const auto p : frozen) ASSERT_EQ(::kill(p, SIGCONT), 0);
}

TEST(postgres_view, tells_whether_hints_come) {
  auto s = server().fresh_store();
  const auto store = open(s);
  EXPECT_EQ(store->database()->hints, hint_state::off) << "nobody listens";
  const auto held = store->listen([] {});
  EXPECT_TRUE(comes_true([&] { return store->database()->hints == hint_state::on; }));
  s.statements = postgres_statements::portable;
  const auto portable = open(s);
  EXPECT_FALSE(portable->listen([] {}));
  EXPECT_EQ(portable->database()->hints, hint_state::off);
  EXPECT_EQ(portable->database()->statements, "portable");
}

}  // namespace
}  // namespace cpns::storage::testing
