// How versions of the schema follow each other, with releases that do not exist yet: this program has its own steps.
#include "storage/postgres/schema_steps.hpp"

#include "tests/postgres/later_steps.hpp"
#include "tests/postgres/support.hpp"

namespace cpns::storage {

std::size_t testing::known = 1;

namespace {

schema_step::statements add_note(postgres_statements) {
  return {"ALTER TABLE cpns_users ADD COLUMN IF NOT EXISTS note bigint DEFAULT 1"};
}
schema_step::statements require_note(postgres_statements) {
  return {"ALTER TABLE cpns_users ALTER COLUMN note SET NOT NULL"};
}
schema_step::statements add_index(postgres_statements) {
  return {"CREATE INDEX IF NOT EXISTS cpns_users_note ON cpns_users (note)"};
}

constexpr schema_step all[] = {
    {1, first_tables, nullptr}, {2, add_note, require_note}, {testing::last_release, add_index, nullptr}};

}  // namespace

std::span<const schema_step> schema_steps() { return std::span{all}.first(testing::known); }

namespace testing {
namespace {

/// Of a release that knows version `n`.
std::string opened_by(std::size_t n, const postgres_settings& s) {
  known = n;
  return said(open_postgres_store(s));
}

std::string migrated_by(std::size_t n, const postgres_settings& s, const contraction& how = {}) {
  known = n;
  const auto done = migrate_postgres_schema(s, std::nullopt, how);
  if (!done) return done.error().message();
  return std::to_string(done->before) + " to " + std::to_string(done->now) + ", oldest " +
         std::to_string(done->oldest);
}

bool note_required(const postgres_settings& s) {
  return server().sql(s.database,
                      "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'cpns_users'::regclass "
                      "AND attname = 'note'") == "t";
}

TEST(schema_steps, let_the_release_before_run_until_the_version_is_contracted) {
  const auto s = server().fresh_database();
  EXPECT_EQ(migrated_by(1, s), "0 to 1, oldest 1");
  const auto old = open(s);
  EXPECT_TRUE(has(opened_by(2, s), "has schema 1, and this cpns needs 2; run `cpns store migrate`"));
  EXPECT_EQ(migrated_by(2, s), "1 to 2, oldest 1");
  EXPECT_FALSE(note_required(s));
  EXPECT_EQ(opened_by(1, s), "ok") << "a node of before can be restarted";
  EXPECT_EQ(outcomes(*old, {{put("ann", 0, "a")}}), "ok");
  EXPECT_EQ(old->allows_this_program().value_or(false), true);
  EXPECT_EQ(migrated_by(1, s), "2 to 2, oldest 1") << "an older release leaves it";
  EXPECT_EQ(migrated_by(2, s, {.newest = true}), "2 to 2, oldest 2");
  EXPECT_TRUE(note_required(s));
  EXPECT_EQ(opened_by(2, s), "ok");
  EXPECT_TRUE(has(opened_by(1, s), "needs a cpns that knows schema 2; this one knows 1")) << opened_by(1, s);
}

TEST(schema_steps, end_a_store_of_the_release_before_that_is_open_when_it_is_contracted) {
  const auto s = server().fresh_database();
  known = 1;
  ASSERT_TRUE(migrate_postgres_schema(s, std::nullopt));
  const auto old = open(s);
  migrated_by(2, s, {.newest = true});
  known = 1;
  EXPECT_EQ(old->allows_this_program().value_or(true), false);
  EXPECT_TRUE(old->health().lost);
  EXPECT_TRUE(has(old->health().why, "install a newer release")) << old->health().why;
  EXPECT_EQ(outcomes(*old, {{put("ann", 0, "a")}}), "store_unavailable");
}

TEST(schema_steps, are_not_contracted_while_an_older_node_lives) {
  const auto s = server().fresh_database();
  migrated_by(1, s);
  contraction how{.newest = true};
  std::vector<std::uint64_t> asked;
  how.nobody_older = [&asked](std::uint64_t oldest) -> status {
    asked.push_back(oldest);
    return fail(errc::state_conflict, "the server 'a' runs");
  };
  EXPECT_TRUE(has(migrated_by(2, s, how), "the server 'a' runs"));
  EXPECT_EQ(asked, std::vector<std::uint64_t>{2});
  EXPECT_EQ(server().sql(s.database, "SELECT version * 10 + oldest FROM cpns_schema"), "21") << "it expanded";
  EXPECT_FALSE(note_required(s));
  EXPECT_EQ(opened_by(1, s), "ok");
  EXPECT_TRUE(has(migrated_by(3, s, how), "the server 'a' runs")) << "version 3 needs version 2 contracted";
  EXPECT_EQ(server().sql(s.database, "SELECT version FROM cpns_schema"), "2");
}

TEST(schema_steps, of_the_release_before_are_contracted_by_the_next_one_before_it_expands) {
  const auto s = server().fresh_database();
  migrated_by(1, s);
  migrated_by(2, s);
  EXPECT_EQ(migrated_by(3, s), "2 to 3, oldest 2");
  EXPECT_TRUE(note_required(s));
  EXPECT_EQ(opened_by(2, s), "ok");
  EXPECT_NE(opened_by(1, s), "ok");
}

TEST(schema_steps, make_a_new_database_without_a_look_at_nodes) {
  const auto s = server().fresh_database();
  contraction how;
  how.nobody_older = [](std::uint64_t) -> status { return fail(errc::internal, "asked"); };
  EXPECT_EQ(migrated_by(3, s, how), "0 to 3, oldest 2");
  EXPECT_TRUE(note_required(s));
}

TEST(schema_steps, are_finished_by_a_repetition_of_a_call_that_ended_between_refusal_and_change) {
  const auto s = server().fresh_database();
  migrated_by(1, s);
  migrated_by(2, s);
  server().sql(s.database, "UPDATE cpns_schema SET oldest = 2");
  EXPECT_EQ(migrated_by(3, s), "2 to 3, oldest 2");
  EXPECT_TRUE(note_required(s));
}

TEST(schema_steps, are_printed_with_the_contraction_as_a_comment) {
  known = 2;
  const auto text = postgres_schema_text(postgres_statements::batch);
  EXPECT_TRUE(has(text, "\nALTER TABLE cpns_users ADD COLUMN")) << text;
  EXPECT_TRUE(has(text,
                  "\n-- When no server runs any more that knows schema 1 alone:\n-- UPDATE cpns_schema SET "
                  "oldest = 2 WHERE id = 1 AND oldest < 2;\n-- ALTER TABLE cpns_users ALTER COLUMN note"))
      << text;
  const auto s = server().fresh_database();
  server().sql(s.database, text);
  EXPECT_EQ(opened_by(2, s), "ok");
  EXPECT_EQ(opened_by(1, s), "ok");
}

}  // namespace
}  // namespace testing
}  // namespace cpns::storage
