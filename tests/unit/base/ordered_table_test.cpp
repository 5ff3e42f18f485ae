#include "base/ordered_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <utility>
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

/// What the class promises: no two neighbours that fit into half a piece, and no piece with room for twice its entries and more.
template <class Table>
void expect_small(const Table& t) {
  const auto pieces_most = 2 * t.size() / (Table::piece_max / 2 + 1) + 1;
  const auto entries = (2 * t.size() + 8 * pieces_most) * sizeof(typename Table::value_type);
  const auto pieces = (2 * pieces_most + 8) * sizeof(std::vector<int>);
  ASSERT_LE(t.bytes(), entries + pieces) << t.size() << " entries";
}

/// `in_order`: pieces that are full. Otherwise some are half full.
void shrink_at_random(bool in_order, bool forward, unsigned seed) {
  std::mt19937_64 random{seed};
  constexpr std::uint64_t count = 6000;
  std::vector<std::uint64_t> keys(count);
  std::iota(keys.begin(), keys.end(), 1);
  if (!in_order) std::shuffle(keys.begin(), keys.end(), random);
  table t;
  model m;
  for (const auto key : keys) m[key] = t[key] = std::to_string(key);
  expect_same(t, m);
  while (m.size() > 3) {
    // A walk that removes some entries, and in each piece sometimes the last one or the first one.
    const auto of_eight = 1 + random() % 4;
    if (forward) {
      auto it = t.begin();
      for (auto wanted = m.begin(); wanted != m.end();) {
        ASSERT_TRUE(it != t.end());
        ASSERT_EQ(it->first, wanted->first);
        if (random() % 8 < of_eight)
          it = t.erase(it), wanted = m.erase(wanted);
        else
          ++it, ++wanted;
      }
      ASSERT_TRUE(it == t.end());
    } else {
      for (auto wanted = m.end(); wanted != m.begin();) {
        --wanted;
        if (random() % 8 >= of_eight) continue;
        const auto after = t.erase(t.find(wanted->first));
        wanted = m.erase(wanted);
        ASSERT_EQ(after == t.end(), wanted == m.end());
        if (wanted != m.end()) {
          ASSERT_EQ(after->first, wanted->first);
        }
      }
    }
    expect_same(t, m);
    expect_small(t);
  }
}

TEST(ordered_table, holds_what_a_map_holds_while_it_is_emptied) {
  for (const bool in_order : {true, false})
    for (const bool forward : {true, false})
      for (unsigned seed = 1; seed <= 4; ++seed) shrink_at_random(in_order, forward, seed);
}

TEST(ordered_table, gives_memory_back_when_most_entries_are_erased_at_random) {
  std::mt19937_64 random{7};
  ordered_table<std::uint64_t, std::uint64_t> t;
  std::vector<std::uint64_t> keys(100'000);
  std::iota(keys.begin(), keys.end(), 1);
  for (const auto key : keys) t.insert_or_assign(key, key);
  EXPECT_LE(t.bytes(), keys.size() * 17) << "in order, the pieces are full";
  std::shuffle(keys.begin(), keys.end(), random);
  for (const std::size_t left : {66'000u, 50'000u, 33'000u, 10'000u, 1'000u, 100u}) {
    while (keys.size() > left) {
      ASSERT_EQ(t.erase(keys.back()), 1u);
      keys.pop_back();
    }
    EXPECT_LE(t.bytes(), left * 16 * 2 + 1024) << left << " are left";
    expect_small(t);
  }
}

TEST(ordered_table, leaves_an_empty_one_when_it_is_moved_from) {
  table t;
  for (std::uint64_t i = 0; i < 1000; ++i) t[i] = "x";
  auto copy = t;
  auto moved = std::move(t);
  EXPECT_EQ(moved.size(), 1000u);
  EXPECT_TRUE(t.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(t.begin(), t.end());
  t[5] = "again";
  EXPECT_EQ(t.size(), 1u);
  t = std::move(moved);
  EXPECT_EQ(entries_of(t), entries_of(copy));
  const auto left = std::exchange(t, {});
  EXPECT_EQ(left.size(), 1000u);
  EXPECT_TRUE(t.empty());
}

/// Its move throws when the countdown is over.
struct breakable {
  breakable() = default;
  breakable(breakable&&) {  // NOLINT(performance-noexcept-move-constructor)
    if (moves_left-- == 0) throw std::bad_alloc{};
  }
  breakable& operator=(breakable&&) = default;
  inline static int moves_left = -1;  ///< negative: any number
};

TEST(ordered_table, is_as_it_was_after_an_insertion_that_failed) {
  ordered_table<int, breakable> t;
  int failures = 0;
  for (int key = 0; key < 2; ++key)
    for (int moves = 0; moves < 8; ++moves) {
      const auto before = t.size();
      breakable::moves_left = moves;
      try {
        t[key];
      } catch (const std::bad_alloc&) {
        ++failures;
        EXPECT_EQ(t.size(), before);
        EXPECT_EQ(std::distance(t.begin(), t.end()), static_cast<std::ptrdiff_t>(before));
        EXPECT_FALSE(t.contains(key));
      }
      breakable::moves_left = -1;
    }
  EXPECT_GE(failures, 4);
  EXPECT_EQ(t.size(), 2u);
}

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

TEST(shared_text, is_copied_and_let_go_by_several_threads) {
  std::vector<std::thread> threads;
  std::vector<std::size_t> sizes(4);
  {
    const shared_text one{"urn:dev:os:32473-1"};
    for (auto& size : sizes)
      threads.emplace_back([mine = one, &size] {
        for (int i = 0; i < 20'000; ++i) {
          const auto copy = mine;
          auto other = copy;
          const auto moved = std::move(other);
          size += moved.view().size();
        }
      });
  }
  for (auto& t : threads) t.join();
  for (const auto size : sizes) EXPECT_EQ(size, 20'000u * 18);
}

}  // namespace
}  // namespace cpns
