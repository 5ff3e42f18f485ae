#include "base/ordered_table.hpp"

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/shared_text.hpp"

namespace cpns {
namespace {

using table = ordered_table<std::uint64_t, std::string>;
using model = std::map<std::uint64_t, std::string>;

template <class Map>
std::vector<std::pair<std::uint64_t, std::string>> entries_of(const Map& m) {
  return {m.begin(), m.end()};
}

/// Both have the same entries, by each way to find them.
void expect_same(const table& t, const model& m) {
  ASSERT_EQ(t.size(), m.size());
  ASSERT_EQ(t.empty(), m.empty());
  ASSERT_EQ(entries_of(t), entries_of(m));
  for (const auto& [key, value] : m) {
    ASSERT_EQ(t.find(key)->second, value);
    const auto next = t.upper_bound(key);
    const auto wanted = m.upper_bound(key);
    ASSERT_EQ(next == t.end(), wanted == m.end());
    if (wanted != m.end()) {
      ASSERT_EQ(next->first, wanted->first);
    }
  }
}

/// The same random changes of a table and of a std::map. `keys`: that many different ones.
void change_at_random(std::uint64_t keys, int changes, unsigned inserts_of_ten) {
  std::mt19937_64 random{keys};
  table t;
  model m;
  for (int i = 0; i < changes; ++i) {
    const auto key = random() % keys;
    const auto value = std::to_string(i);
    if (random() % 10 < inserts_of_ten) {
      if (i % 2 == 0)
        t[key] = value;
      else
        t.insert_or_assign(key, value);
      m[key] = value;
    } else if (i % 2 == 0) {
      ASSERT_EQ(t.erase(key), m.erase(key));
    } else if (const auto at = t.lower_bound(key); at != t.end()) {
      const auto after = t.erase(at);
      const auto wanted = m.erase(m.lower_bound(key));
      ASSERT_EQ(after == t.end(), wanted == m.end());
      if (wanted != m.end()) {
        ASSERT_EQ(after->first, wanted->first);
      }
    }
    ASSERT_EQ(t.contains(key), m.contains(key));
    if (i % 512 == 0) expect_same(t, m);
  }
  expect_same(t, m);
}

TEST(ordered_table, holds_what_a_map_holds_while_it_grows) { change_at_random(100'000, 20'000, 8); }
TEST(ordered_table, holds_what_a_map_holds_while_it_shrinks_and_grows) { change_at_random(1'000, 50'000, 5); }
TEST(ordered_table, holds_what_a_map_holds_with_few_entries) { change_at_random(4, 2'000, 5); }

TEST(ordered_table, is_filled_in_order_and_emptied_from_either_end) {
  for (const bool from_the_front : {true, false}) {
    table t;
    constexpr std::uint64_t count = 10 * table::piece_max + 3;
    for (std::uint64_t i = 0; i < count; ++i) t[i] = std::to_string(i);
    EXPECT_EQ(t.size(), count);
    std::uint64_t next = 0;
    for (const auto& [key, value] : t) EXPECT_EQ(key, next++);
    for (std::uint64_t i = 0; i < count; ++i) EXPECT_EQ(t.erase(from_the_front ? i : count - 1 - i), 1u);
    EXPECT_TRUE(t.empty());
    EXPECT_EQ(t.begin(), t.end());
  }
}

TEST(ordered_table, erases_during_a_walk) {
  ordered_table<int, std::unique_ptr<int>> t;
  for (int i = 0; i < 1000; ++i) t.insert_or_assign(i, std::make_unique<int>(i));
  for (auto it = t.begin(); it != t.end();) it = it->first % 3 == 0 ? std::next(it) : t.erase(it);
  EXPECT_EQ(t.size(), 334u);
  for (const auto& [key, value] : t) EXPECT_EQ(key, *value);
  EXPECT_EQ(*t.at(999), 999);
  EXPECT_THROW(t.at(998), std::out_of_range);
  t.clear();
  EXPECT_TRUE(t.empty());
}

TEST(shared_text, is_one_text_for_all_copies_and_is_found_by_any_text) {
  ordered_table<shared_text, int, text_less> t;
  const shared_text one{"urn:dev:os:32473-1"};
  t.insert_or_assign(one, 1);
  t.insert_or_assign(shared_text{"urn:dev:os:32473-2"}, 2);
  EXPECT_EQ(t.find("urn:dev:os:32473-1")->first.view().data(), one.view().data());
  EXPECT_EQ(t.at(std::string{"urn:dev:os:32473-2"}), 2);
  EXPECT_EQ(t.find("urn:dev:os:32473-3"), t.end());
}

TEST(shared_text, outlives_any_of_its_copies) {
  shared_text one{"abc"};
  auto two = one;
  shared_text none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.view(), "");
  EXPECT_TRUE(shared_text{""}.empty());
  one = none;
  EXPECT_EQ(two.text(), "abc");
  const auto three = std::move(two);
  EXPECT_EQ(three.view(), "abc");
  const auto& same = three;
  one = same;
  EXPECT_EQ(one.view().data(), three.view().data());
}

}  // namespace
}  // namespace cpns
