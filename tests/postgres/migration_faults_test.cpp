// One fault at each statement of a migration: it is made, or it fails with one error and its repetition makes it.

#include <atomic>
#include <memory>
#include <set>
#include <thread>

#include "tests/postgres/later_steps.hpp"
#include "tests/postgres/passing_faults.hpp"
#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

using deed = postgres_fault::deed;

constexpr auto node_role = "migrated_node";

/// "CREATE TABLE", "GRANT SELECT": statements of one kind differ in their table.
std::string kind_of(const std::string& statement) {
  return statement.substr(0, statement.find(' ', statement.find(' ') + 1));
}

/// A database behind a proxy, empty at the start of each trial.
class migrated_place {
 public:
  migrated_place()
      : direct_(server().fresh_database()), sql_(server().session(direct_.database)),
        proxy_(server().port()) {}

  /// Tables, columns, indexes, rights and versions.
  std::string schema();
  result<schema_change> migrate(const std::vector<postgres_fault>& faults) {
    proxy_.arm(faults);
    const contraction how{.newest = true, .nobody_older = [](std::uint64_t) { return status{}; }};
    return migrate_postgres_schema(proxy_.through(direct_), node_role, how);
  }
  void clear();
  void run(const std::string& sql) { sql_.sql(sql); }
  [[nodiscard]] const test::postgres_proxy& proxy() const { return proxy_; }

 private:
  postgres_settings direct_;
  test::sql_session sql_;
  test::postgres_proxy proxy_;
};

std::string migrated_place::schema() {
  const auto versions = sql_.sql("SELECT to_regclass('cpns_schema') IS NOT NULL") == "t"
                            ? sql_.sql("SELECT string_agg(version || ' ' || oldest, ',') FROM cpns_schema")
                            : "none";
  return "versions " + versions + "\n" +
         sql_.sql("WITH own AS (SELECT * FROM pg_class WHERE relname LIKE 'cpns\\_%') "
                  "SELECT string_agg(line, E'\\n' ORDER BY line) FROM (SELECT relname || ' ' || "
                  "coalesce(array_to_string(reloptions, ','), '') || ' ' || "
                  "coalesce(array_to_string(relacl, ','), '') AS line FROM own UNION ALL "
                  "SELECT relname || '.' || attname || ' ' || attstorage::text || ' ' || attnotnull "
                  "FROM own JOIN pg_attribute ON attrelid = own.oid WHERE attnum > 0) AS of");
}

void migrated_place::clear() {
  const auto tables =
      sql_.sql("SELECT string_agg(tablename, ',') FROM pg_tables WHERE tablename LIKE 'cpns\\_%'");
  if (!tables.empty()) sql_.sql("DROP TABLE " + tables);
}

/// The schemas between the transactions of the statements that a migration sent.
std::set<std::string> schemas_between(migrated_place& in, const std::vector<postgres_message>& heard) {
  in.clear();
  std::set<std::string> out{in.schema()};
  bool within = false;
  for (const auto& m : heard) {
    if (m.type != 'E') continue;
    in.run(m.statement);
    within = m.statement == "BEGIN" || (within && m.statement != "COMMIT");
    if (!within) out.insert(in.schema());
  }
  return out;
}

/// Each fault at the first statement of each kind, one at each other statement.
std::vector<postgres_fault> faults_of(const std::vector<postgres_message>& heard) {
  std::vector<postgres_fault> out;
  std::set<std::pair<char, std::string>> seen;
  const auto faults = passing();
  std::size_t turn = 0;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    const auto& m = heard[i];
    const bool works = std::string_view("ESA").find(m.type) != std::string_view::npos;
    const bool first = seen.emplace(m.type, kind_of(m.statement)).second;
    if (!works && !first) continue;
    for (std::size_t f = 0; f < (works && first ? faults.size() : 1); ++f)
      out.push_back(at(heard, i, faults[works && first ? f : turn++ % faults.size()]));
    if (!first || m.type == 'A') continue;
    if (m.type == 'E') out.push_back(at(heard, i, fault(deed::refuse, "53100")));
    if (m.type == 'S')
      for (const auto* state : {"08006", "08007", "40003"})
        out.push_back(at(heard, i, fault(deed::doubt, state)));
  }
  return out;
}

/// The migration itself repeats what passes soon; a database that refuses it is left to the caller.
bool is_repeated(const postgres_fault& f) {
  static const std::set<std::string> left{"25006", "57P03", "53300", "08006", "53100"};
  if (f.at.type == 'A' || f.does == deed::doubt) return false;
  return f.does != deed::refuse || f.fatal || !left.contains(f.sqlstate);
}

class migration_faults : public ::testing::Test {
 protected:
  void SetUp() override {
    known = last_release;
    server().sql("postgres", std::string("CREATE ROLE ") + node_role);
    while (places_.size() < 4) places_.push_back(std::make_unique<migrated_place>());
    const auto made = places_.front()->migrate({});
    ASSERT_TRUE(made) << said(made);
    ASSERT_EQ(made->oldest, last_release);
    heard_ = places_.front()->proxy().heard();
    whole_ = places_.front()->schema();
    between_ = schemas_between(*places_.front(), heard_);
    ASSERT_TRUE(between_.contains(whole_)) << whole_;
    ASSERT_GT(between_.size(), 8U) << "two rows, three expansions, two refusals and changes, the rights";
  }
  void TearDown() override {
    places_.clear();
    known = 1;
  }

  void try_one(migrated_place& in, const postgres_fault& f) {
    SCOPED_TRACE(fault_text(f));
    in.clear();
    auto made = in.migrate({f});
    EXPECT_EQ(in.proxy().left(), 0U) << "the fault did not happen";
    EXPECT_TRUE(made || !is_repeated(f)) << said(made);
    if (!made) {
      const auto why = said(made);
      EXPECT_TRUE(has(why, "SQLSTATE") || has(why, "cannot connect to")) << why;
      EXPECT_FALSE(has(why, "\n")) << why;
      EXPECT_TRUE(between_.contains(in.schema())) << "half done:\n" << in.schema();
      made = in.migrate({});
      ASSERT_TRUE(made) << said(made);
    }
    EXPECT_EQ(made->now, last_release);
    EXPECT_EQ(made->oldest, last_release);
    EXPECT_EQ(in.schema(), whole_);
  }

  std::vector<std::unique_ptr<migrated_place>> places_;
  std::vector<postgres_message> heard_;
  std::string whole_;
  std::set<std::string> between_;
};

TEST_F(migration_faults, at_any_statement_leave_nothing_half_done) {
  const auto faults = faults_of(heard_);
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (auto& p : places_)
    threads.emplace_back([&, in = p.get()] {
      for (auto i = next++; i < faults.size(); i = next++) try_one(*in, faults[i]);
    });
  for (auto& t : threads) t.join();
  RecordProperty("trials", static_cast<int>(faults.size()));
}

}  // namespace
}  // namespace cpns::storage::testing
