// A group committer with two writers on a real PostgreSQL: several threads change rows of their own and rows that they
// share.

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "crypto/suite.hpp"
#include "storage/group_commit.hpp"
#include "storage/sealed_store.hpp"
#include "tests/postgres/support.hpp"
#include "tests/support/held_store.hpp"
#include "tests/support/key_file.hpp"

namespace cpns::storage::testing {
namespace {

constexpr int submitters = 4, changes_each = 400, shared_rows = 9;

/// Gives out the versions of rows in the order in which their changes are submitted.
class changes {
 public:
  explicit changes(group_committer& to) : to_(to) {}
  void change(const std::string& row, bool any_version) {
    const std::lock_guard lock{guard_};
    const auto n = ++versions_[row];
    sealed_op op{table::users, b(row), secret_bytes::from_text(std::to_string(n))};
    if (!any_version) op.expected = n - 1;
    to_.submit({std::move(op)}, [this](const status& s) {
      if (!s) log_.push_back(said(s));
    });
  }
  /// After the end of the committer.
  [[nodiscard]] const std::vector<std::string>& failures() const { return log_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& versions() const { return versions_; }

 private:
  group_committer& to_;
  std::mutex guard_;
  std::map<std::string, std::uint64_t> versions_;
  std::vector<std::string> log_;
};

class postgres_two_writers : public ::testing::TestWithParam<postgres_statements> {};

TEST_P(postgres_two_writers, leave_each_row_as_its_last_change) {
  auto s = server().fresh_store();
  s.statements = GetParam();
  const auto database = open(s);
  test::held_store under(*database);
  const auto protector = test::key_file_protector(crypto::system_entropy());
  const auto sealed = sealed_store::open(under, *protector, crypto::system_entropy()).value();
  under.hold();
  auto committer = std::make_unique<group_committer>(*sealed, commit_limits_for(*sealed));
  changes all(*committer);
  std::vector<std::thread> threads;
  for (int t = 0; t < submitters; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < changes_each; ++i) {
        const bool shared = i % 3 == 0;
        all.change(shared ? "shared" + std::to_string(i % shared_rows)
                          : std::to_string(t) + "/" + std::to_string(i % 150),
                   i % 2 == 0);
        if (i % 100 == 99) std::this_thread::sleep_for(milliseconds(5));
      }
    });
  under.wait_for_writes(2);  // or the first writer could be done before many rows wait
  under.let_all_go();
  for (auto& t : threads) t.join();
  committer.reset();
  EXPECT_EQ(all.failures(), std::vector<std::string>{});
  EXPECT_EQ(under.at_a_time(), 2);
  for (const auto& [row, n] : all.versions()) {
    const auto found = sealed->read_one(table::users, as_bytes(row));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->version, n) << row;
    ASSERT_TRUE(found->value) << row;
    EXPECT_EQ(as_text(found->value->expose()), std::to_string(n)) << row;
  }
}

INSTANTIATE_TEST_SUITE_P(kinds, postgres_two_writers,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace cpns::storage::testing
