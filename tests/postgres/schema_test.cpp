// Versions of the schema, and the rights of the roles.

#include <algorithm>
#include <thread>

#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

std::string why_not_opened(const postgres_settings& s) { return said(open_postgres_store(s)); }

TEST(postgres_schema, is_missing_in_a_new_database_and_the_message_names_the_remedy) {
  const auto s = server().fresh_database();
  EXPECT_EQ(code(open_postgres_store(s)), "store_unavailable");
  EXPECT_TRUE(has(why_not_opened(s), "run `cpns store migrate`")) << why_not_opened(s);
}

TEST(postgres_schema, is_made_once_and_keeps_the_rows_when_it_is_made_again) {
  auto s = server().fresh_database();
  auto first = migrate_postgres_schema(s, std::nullopt);
  ASSERT_TRUE(first) << said(first);
  EXPECT_EQ(first->before, 0U);
  EXPECT_EQ(first->now, postgres_schema_version());
  EXPECT_EQ(outcomes(*open(s), {{put("ann", 0, "a")}}), "ok");
  auto second = migrate_postgres_schema(s, std::nullopt);
  ASSERT_TRUE(second) << said(second);
  EXPECT_EQ(second->before, postgres_schema_version());
  EXPECT_EQ(read(*open(s), "ann"), "1:a");
}

TEST(postgres_schema, is_made_by_one_of_several_migrators_at_a_time) {
  const auto s = server().fresh_database();
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i)
    all.emplace_back([&s] {
      const auto made = migrate_postgres_schema(s, std::nullopt);
      EXPECT_TRUE(made) << said(made);
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(outcomes(*open(s), {{put("ann", 0, "a")}}), "ok");
}

TEST(postgres_schema, waits_for_no_node_that_writes) {
  const auto s = server().fresh_store();
  auto writing = server().session(s.database);
  writing.sql("BEGIN; INSERT INTO cpns_users VALUES ('ann', 1, '')");
  EXPECT_TRUE(migrate_postgres_schema(s, std::nullopt)) << "nothing to change, no lock needed";
  writing.sql("COMMIT");
}

TEST(postgres_schema, is_refused_when_it_is_too_old_or_too_new_and_used_when_it_only_grew) {
  const auto s = server().fresh_store();
  server().sql(s.database, "UPDATE cpns_schema SET version = 0");
  EXPECT_TRUE(has(why_not_opened(s), "has schema 0, and this cpns needs 1; run `cpns store migrate`"))
      << why_not_opened(s);
  server().sql(s.database, "UPDATE cpns_schema SET version = 3, oldest = 1");
  EXPECT_EQ(why_not_opened(s), "ok") << "a later release that only added";
  EXPECT_TRUE(migrate_postgres_schema(s, std::nullopt)) << "leaves it";
  EXPECT_EQ(server().sql(s.database, "SELECT version FROM cpns_schema"), "3");
  server().sql(s.database, "UPDATE cpns_schema SET oldest = 2");
  EXPECT_TRUE(
      has(why_not_opened(s), "needs a cpns that knows schema 2; this one knows 1: install a newer release"))
      << why_not_opened(s);
  const auto refused = migrate_postgres_schema(s, std::nullopt);
  EXPECT_TRUE(has(said(refused), "install a newer release")) << said(refused);
}

TEST(postgres_schema, gives_the_role_of_the_nodes_no_more_than_rows) {
  auto s = server().fresh_database();
  const std::string role = "node of \"" + s.database + "\"",
                    quoted = "\"node of \"\"" + s.database + "\"\"\"";
  server().sql("postgres", "CREATE ROLE " + quoted + " LOGIN");
  ASSERT_TRUE(migrate_postgres_schema(s, std::nullopt));
  auto node = s;
  node.user = role;
  EXPECT_TRUE(has(why_not_opened(node), "its role may not read them")) << why_not_opened(node);
  ASSERT_TRUE(migrate_postgres_schema(s, role));
  const auto store = open(node);
  EXPECT_EQ(
      outcomes(*store, {{put("ann", 0, "a")}, {put("bob", 0, "b"), put("d", 0, "d", table::devices)}, {}}),
      "ok ok ok");
  EXPECT_EQ(outcomes(*store, {{erase("ann", 1)}}), "ok");
  const auto refused = migrate_postgres_schema(node, std::nullopt);
  EXPECT_TRUE(has(said(refused), "that role must own the tables of cpns")) << said(refused);
}

TEST(postgres_schema, is_the_same_when_an_operator_executes_its_text) {
  for (const auto dialect : {postgres_statements::batch, postgres_statements::portable}) {
    auto s = server().fresh_database();
    s.statements = dialect;
    const auto text = postgres_schema_text(dialect);
    server().sql(s.database, text);
    server().sql(s.database, text);
    EXPECT_EQ(why_not_opened(s), "ok");
    const auto made = migrate_postgres_schema(s, std::nullopt);
    ASSERT_TRUE(made) << said(made);
    EXPECT_EQ(made->before, postgres_schema_version()) << "nothing was left to do";
    EXPECT_EQ(server().sql(s.database, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'cpns\\_%'"),
              std::to_string(std::size(all_tables) + 1));
    EXPECT_EQ(has(text, "fillfactor"), dialect == postgres_statements::batch);
  }
}

}  // namespace
}  // namespace cpns::storage::testing
