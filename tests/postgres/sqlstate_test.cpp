// Errors that a server reports, raised by a trigger in the table.

#include <future>

#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

class postgres_errors : public ::testing::TestWithParam<postgres_statements> {
 protected:
  postgres_errors() : settings_(impatient(server().fresh_store())) {
    settings_.statements = GetParam();
    store_ = open(settings_);
  }
  /// The next `times` changes of a row "bad" fail with `state`. A sequence counts them, since it is not rolled back.
  void raise(const std::string& state, int times) {
    server().sql(settings_.database,
                 "DROP SEQUENCE IF EXISTS failures; CREATE SEQUENCE failures;"
                 "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 "IF NEW.row = 'bad' AND nextval('failures') <= " +
                     std::to_string(times) + " THEN RAISE EXCEPTION 'raised by the test' USING ERRCODE = '" +
                     state +
                     "'; END IF; RETURN NEW; END $$;"
                     "CREATE OR REPLACE TRIGGER failing BEFORE INSERT OR UPDATE ON cpns_users FOR EACH ROW "
                     "EXECUTE FUNCTION fail()");
  }
  postgres_settings settings_;
  std::unique_ptr<store> store_;
};

TEST_P(postgres_errors, repeats_what_can_succeed_now) {
  for (const auto* state : {"40001", "40P01", "55P03", "57P01", "25006", "57P03", "08006"}) {
    SCOPED_TRACE(state);
    raise(state, 2);
    const auto v = store_->get(table::users, as_bytes("bad"))->value_or(stored_value{}).version;
    EXPECT_EQ(outcomes(*store_, {{put("bad", v, state)}, {put("good", v, state)}}), "ok ok");
    EXPECT_EQ(read(*store_, "bad"), std::to_string(v + 1) + ":" + state);
    EXPECT_EQ(outcomes(*store_, {{put("a", v, ""), put("bad", v + 1, state)}}), "ok") << "of several rows";
    EXPECT_EQ(outcomes(*store_, {{erase("bad", v + 2)}, {erase("good", v + 1)}, {erase("a", v + 1)}}),
              "ok ok ok");
  }
}

TEST_P(postgres_errors, fails_only_the_batch_that_the_server_refuses) {
  for (const auto* state : {"22021", "23514", "54000", "XX000"}) {
    SCOPED_TRACE(state);
    raise(state, 1000);
    EXPECT_EQ(outcomes(*store_, {{put("x", 0, "")},
                                 {put("bad", 0, "")},
                                 {put("y", 0, "")},
                                 {put("z", 0, ""), put("bad", 0, "")}}),
              "ok store_write_failed ok store_write_failed");
    EXPECT_EQ(read(*store_, "z"), "(none)");
    EXPECT_EQ(outcomes(*store_, {{erase("x", 1)}, {erase("y", 1)}}), "ok ok");
    EXPECT_TRUE(store_->health().writable);
  }
}

TEST_P(postgres_errors, reports_a_full_disk_and_resumes_when_there_is_space) {
  server().sql(
      settings_.database,
      "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space' "
      "USING ERRCODE = '53100'; END $$;"
      "CREATE TRIGGER full_users BEFORE INSERT ON cpns_users EXECUTE FUNCTION full_disk();"
      "CREATE TRIGGER full_meta BEFORE INSERT ON cpns_meta EXECUTE FUNCTION full_disk()");
  EXPECT_EQ(outcomes(*store_, {{put("a", 0, "")}, {put("b", 0, "")}}), "store_full store_full");
  EXPECT_FALSE(store_->health().writable);
  EXPECT_NE(store_->health().why.find("free some space"), std::string::npos) << store_->health().why;
  EXPECT_EQ(read(*store_, "a"), "(none)") << "reads still work";
  server().sql(settings_.database,
               "DROP TRIGGER full_users ON cpns_users; DROP TRIGGER full_meta ON cpns_meta");
  EXPECT_TRUE(comes_true([&] { return store_->health().writable; }));
  EXPECT_EQ(store_->health().reopened, 1U);
  EXPECT_EQ(outcomes(*store_, {{put("a", 0, "")}}), "ok");
}

TEST_P(postgres_errors, are_not_over_when_an_older_write_succeeds) {
  ASSERT_EQ(outcomes(*store_, {{put("slow", 0, "")}}), "ok");
  auto other = server().session(settings_.database);
  other.sql("BEGIN; SELECT FROM cpns_users WHERE row = 'slow' FOR UPDATE");
  auto slow = std::async(std::launch::async, [&] { return outcomes(*store_, {{put("slow", 1, "x")}}); });
  ASSERT_TRUE(comes_true([&] { return server().waits_for(settings_.database, "transactionid"); }));
  server().sql(
      settings_.database,
      "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space' "
      "USING ERRCODE = '53100'; END $$;"
      "CREATE TRIGGER full_meta BEFORE INSERT ON cpns_meta EXECUTE FUNCTION full_disk()");
  EXPECT_EQ(outcomes(*store_, {{}}), "store_full");
  other.sql("ROLLBACK");
  EXPECT_EQ(slow.get(), "ok");
  EXPECT_FALSE(store_->health().writable) << "it began before the failure";
  server().sql(settings_.database, "DROP TRIGGER full_meta ON cpns_meta");
  EXPECT_TRUE(comes_true([&] { return store_->health().writable; }));
}

TEST_P(postgres_errors, delays_no_other_row_when_one_is_locked) {
  settings_.doubt = milliseconds(800);
  store_ = open(settings_);
  ASSERT_EQ(outcomes(*store_, {{put("a", 0, "")}, {put("b", 0, "")}, {put("c", 0, "")}}), "ok ok ok");
  auto other = server().session(settings_.database);
  other.sql("BEGIN; SELECT FROM cpns_users WHERE row = 'b' FOR UPDATE");
  EXPECT_EQ(outcomes(*store_, {{put("a", 1, "x")}, {put("b", 1, "x")}, {put("c", 1, "x")}}),
            "ok store_write_failed ok");
  EXPECT_TRUE(store_->health().writable);
  other.sql("ROLLBACK");
  EXPECT_EQ(outcomes(*store_, {{put("b", 1, "x")}}), "ok");
}

TEST_P(postgres_errors, names_the_remedy_when_a_table_is_missing) {
  server().sql(settings_.database, "DROP TABLE cpns_users");
  const auto outcome = store_->write_one({put("a", 0, "")});
  EXPECT_EQ(code(outcome), "store_unavailable");
  EXPECT_NE(said(outcome).find("cpns store migrate"), std::string::npos) << said(outcome);
  EXPECT_NE(read(*store_, "a").find("cpns store migrate"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(kinds, postgres_errors,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace cpns::storage::testing
