// Two nodes with several threads write the same rows. Each won row raised one version, and nothing else did.

#include <atomic>
#include <map>
#include <thread>

#include "tests/postgres/support.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::storage::testing {
namespace {

constexpr std::uint64_t hot_rows = 40;
constexpr int rounds = 60;

struct tally {
  std::atomic<std::uint64_t> won{0}, lost{0};
};

std::string name(std::uint64_t i) { return "row" + std::to_string(100 + i); }

/// Reads some rows, and writes them as single rows and as batches of two.
void race(store& s, std::uint64_t seed, tally& all) {
  test::seeded_entropy random(seed);
  for (int round = 0; round < rounds; ++round) {
    std::map<std::string, std::uint64_t> chosen;
    while (chosen.size() < 12) chosen[name(random.below(hot_rows))] = 0;
    std::vector<row_name> names;
    for (const auto& [n, version] : chosen) names.push_back({table::users, b(n)});
    const auto read = s.read(names);
    ASSERT_TRUE(read) << said(read);
    std::vector<write_batch> batches;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto expected = (*read)[i] ? (*read)[i]->version : 0;
      if (i % 3 != 2) batches.emplace_back();
      batches.back().push_back(put(as_text(names[i].row), expected, std::to_string(seed)));
    }
    const auto done = s.write(batches);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      EXPECT_TRUE(done[i] || done[i].error() == errc::store_conflict) << said(done[i]);
      (done[i] ? all.won : all.lost) += batches[i].size();
    }
  }
}

class postgres_race : public ::testing::TestWithParam<postgres_statements> {};

TEST_P(postgres_race, raises_a_version_once_per_won_row) {
  auto s = server().fresh_store();
  s.statements = GetParam();
  const auto one = open(s), other = open(s);
  tally all;
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < 4; ++i) threads.emplace_back([&, i] { race(i % 2 ? *one : *other, i, all); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(server().sql(s.database, "SELECT sum(version) FROM cpns_users"), std::to_string(all.won));
  EXPECT_GT(all.lost, 0U) << "the threads did not meet";
}

INSTANTIATE_TEST_SUITE_P(kinds, postgres_race,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace cpns::storage::testing
