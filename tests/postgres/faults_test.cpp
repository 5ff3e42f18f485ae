// One fault at each message that a store sends: the outcome is that of a call without a fault, and rows are written once.

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <thread>

#include "tests/postgres/passing_faults.hpp"
#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

using deed = postgres_fault::deed;

/// What a role does with a store.
struct work {
  const char* name;
  std::function<std::string(store&)> act;
  std::string outcome;    ///< without a fault
  const char* rows = "";  ///< afterwards; empty: as before
  std::string full = "store_full";
  bool opens = false;  ///< the faults hit the opening of the store
};
std::ostream& operator<<(std::ostream& out, const work& w) { return out << w.name; }

constexpr auto rows_before = "devices dan 1 1, users ann 1 1, users eve 1 1";

std::string listed(const result<std::vector<stored_row>>& rows) {
  if (!rows) return code(rows);
  std::string out;
  for (const auto& r : *rows) out += std::string(as_text(r.row)) + " ";
  return out;
}

std::string scanned(store& s) {
  std::string out;
  const auto done = s.scan(table::users, {}, [&out](const stored_row& r) {
    out += std::string(as_text(r.row)) + " ";
    return true;
  });
  return done ? out : code(done);
}

std::string read_two(store& s) {
  const std::vector<row_name> names{{table::users, b("ann")}, {table::devices, b("dan")}};
  const auto got = s.read(names);
  if (!got) return code(got);
  return std::string(as_text((*got)[0]->value)) + std::string(as_text((*got)[1]->value));
}

std::string opened(const postgres_settings& s) {
  const auto made = open_postgres_store(s);
  return made ? "ok" : made.error().message();
}

std::vector<work> all_work() {
  const auto shared = [](store& s) {
    return outcomes(s, {{put("ann", 1, "2")},
                        {put("bob", 0, "1")},
                        {erase("eve", 1)},
                        {put("dan", 1, "2", table::devices)},
                        {put("zoe", 5, "6")}});
  };
  const auto alone = [](store& s) {
    return outcomes(s, {{put("ann", 1, "2"), put("bob", 0, "1"), erase("dan", 1, table::devices)}});
  };
  const auto loses = [](store& s) { return outcomes(s, {{put("ann", 1, "2"), put("bob", 3, "4")}}); };
  const auto slice = [](store& s) { return listed(s.slice(table::users, {}, 100)); };
  return {
      {"several_batches", shared, "ok ok ok ok conflict", "devices dan 2 2, users ann 2 2, users bob 1 1",
       "store_full store_full store_full store_full store_full"},
      {"batch_of_several_rows", alone, "ok", "users ann 2 2, users bob 1 1, users eve 1 1"},
      {"batch_that_loses", loses, "conflict"},
      {"question_whether_writes_are_accepted", [](store& s) { return outcomes(s, {{}}); }, "ok"},
      {"read", read_two, "11", "", "store_unavailable"},
      {"slice", slice, "ann eve ", "", "store_unavailable"},
      {"scan", scanned, "ann eve ", "", "store_unavailable"},
      {"clock", [](store& s) { return code(s.clock()); }, "ok", "", "store_unavailable"},
      {"question_whether_the_schema_allows_this_program",
       [](store& s) {
         const auto allows = s.allows_this_program();
         return allows ? std::string(*allows ? "yes" : "no") : code(allows);
       },
       "yes", "", "store_unavailable"},
      {"start", {}, "ok", "", "", true},
  };
}

/// A database behind a proxy.
class place {
 public:
  place()
      : direct_(server().fresh_store()), sql_(server().session(direct_.database)), proxy_(server().port()) {}

  std::string run(const work& w, postgres_statements dialect, const std::vector<postgres_fault>& faults);
  [[nodiscard]] std::vector<postgres_message> heard() const { return proxy_.heard(); }
  std::string rows();

 private:
  void reset();
  postgres_settings direct_;
  test::sql_session sql_;
  test::postgres_proxy proxy_;
};

void place::reset() {
  sql_.sql("DELETE FROM cpns_users; DELETE FROM cpns_devices; DELETE FROM cpns_meta;"
           "INSERT INTO cpns_users VALUES ('ann', 1, '1'), ('eve', 1, '1'); INSERT INTO cpns_devices VALUES "
           "('dan', 1, '1')");
}

std::string place::rows() {
  return sql_.sql("SELECT string_agg(t || ' ' || convert_from(row, 'UTF8') || ' ' || version || ' ' || "
                  "convert_from(value, 'UTF8'), "
                  "', ' ORDER BY t, row) FROM (SELECT 'users' t, * FROM cpns_users UNION ALL SELECT "
                  "'devices', * FROM cpns_devices "
                  "UNION ALL SELECT 'meta', * FROM cpns_meta) AS of");
}

/// The outcome. Fails the test if the rows are not those of the work, or a fault did not happen.
std::string place::run(const work& w, postgres_statements dialect,
                       const std::vector<postgres_fault>& faults) {
  reset();
  auto s = proxy_.through(direct_);
  s.statements = dialect;
  // Longer than a fault lasts on a slow machine.
  s.statement = s.retry = milliseconds(5000);
  s.doubt = milliseconds(20'000);
  proxy_.arm(w.opens ? faults : std::vector<postgres_fault>{});
  if (w.opens) {
    const auto out = opened(s);
    EXPECT_EQ(proxy_.left(), 0U);
    return out;
  }
  const auto store = open(s);
  if (!store) return "not opened";
  proxy_.arm(faults);
  auto out = w.act(*store);
  EXPECT_EQ(proxy_.left(), 0U) << "the fault did not happen";
  if (out != w.outcome && out == w.full) {
    EXPECT_EQ(rows(), rows_before) << "nothing was written";
    EXPECT_FALSE(store->health().writable);
    EXPECT_EQ(w.act(*store), w.outcome) << "it works again by itself";
  }
  EXPECT_EQ(rows(), *w.rows == '\0' ? rows_before : w.rows);
  return out;
}

struct trial {
  std::vector<postgres_fault> faults;
  bool full = false;  ///< the database is full
};

std::string shown(const trial& t) {
  std::string out;
  for (const auto& f : t.faults) out += fault_text(f) + "; ";
  return out;
}

/// Each fault where the server works; two at the messages that only prepare it.
std::vector<trial> trials_of(const std::vector<postgres_message>& heard, bool with_full) {
  std::vector<trial> out;
  const auto faults = passing();
  std::size_t turn = 0;
  for (std::size_t i = 0; i < heard.size(); ++i) {
    const bool works = std::string_view("ESA").find(heard[i].type) != std::string_view::npos;
    for (std::size_t f = 0; f < (works ? faults.size() : 2); ++f)
      out.push_back({{at(heard, i, faults[works ? f : turn++ % faults.size()])}});
    if (commits(heard[i]))
      for (const auto* state : {"08006", "08007", "40003"})
        out.push_back({{at(heard, i, fault(deed::doubt, state))}});
    if (works && with_full && heard[i].type != 'A' && heard[i] != postgres_message{'S', "commit"})
      out.push_back({{at(heard, i, fault(deed::refuse, "53100"))}, true});
  }
  return out;
}

class postgres_faults : public ::testing::TestWithParam<std::tuple<work, postgres_statements>> {
 protected:
  /// Each thread has one: trials mostly wait.
  static std::vector<std::unique_ptr<place>>& places() {
    static std::vector<std::unique_ptr<place>> all;
    while (all.size() < 6) all.push_back(std::make_unique<place>());
    return all;
  }
  static void TearDownTestSuite() { places().clear(); }

  const work& tested() const { return std::get<0>(GetParam()); }
  postgres_statements dialect() const { return std::get<1>(GetParam()); }
  std::vector<postgres_message> heard_with(const std::vector<postgres_fault>& faults) {
    EXPECT_EQ(places().front()->run(tested(), dialect(), faults), tested().outcome);
    return places().front()->heard();
  }
  void run_all(const std::vector<trial>& trials) {
    std::atomic<std::size_t> next{0};
    std::vector<std::thread> threads;
    for (auto& p : places())
      threads.emplace_back([&, one = p.get()] {
        for (auto i = next++; i < trials.size(); i = next++) {
          SCOPED_TRACE(shown(trials[i]));
          EXPECT_EQ(one->run(tested(), dialect(), trials[i].faults),
                    trials[i].full ? tested().full : tested().outcome);
        }
      });
    for (auto& t : threads) t.join();
  }
};

TEST_P(postgres_faults, at_any_message_lose_nothing_and_write_nothing_twice) {
  const auto heard = heard_with({});
  ASSERT_FALSE(heard.empty());
  run_all(trials_of(heard, !tested().opens));
}

/// While the store finds out what became of a write, the next fault comes.
TEST_P(postgres_faults, at_any_message_after_a_lost_answer_lose_nothing) {
  const auto first = heard_with({});
  ASSERT_FALSE(first.empty());
  std::size_t last = first.size() - 1;
  for (std::size_t i = 0; i < first.size(); ++i)
    if (commits(first[i])) last = i;
  const auto lost = at(first, last, fault(deed::lose));
  const auto heard = heard_with({lost});
  std::vector<trial> trials;
  const auto faults = passing();
  for (std::size_t i = last + 1; i < heard.size(); ++i)
    for (const std::size_t f : {i % faults.size(), (i * 5 + 3) % faults.size()})
      trials.push_back({{lost, at(heard, i, faults[f])}});
  run_all(trials);
}

INSTANTIATE_TEST_SUITE_P(works, postgres_faults,
                         ::testing::Combine(::testing::ValuesIn(all_work()),
                                            ::testing::Values(postgres_statements::batch,
                                                              postgres_statements::portable)),
                         [](const auto& p) {
                           return std::string(std::get<0>(p.param).name) + "_" +
                                  std::string(name_of(std::get<1>(p.param)));
                         });

}  // namespace
}  // namespace cpns::storage::testing
