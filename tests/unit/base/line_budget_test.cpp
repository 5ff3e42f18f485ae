#include "base/line_budget.hpp"

#include <gtest/gtest.h>

namespace cpns {
namespace {

using std::chrono::seconds;

TEST(line_budget, allows_some_lines_per_period_and_counts_the_rest) {
  line_budget b{3, seconds{10}};
  const time_point begin{seconds{1000}};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(b.take(begin, "a"), i < 3);
  EXPECT_TRUE(b.take(begin, "b"));
  EXPECT_TRUE(b.over(begin + seconds{9}).empty()) << "the period is not over";
  const auto held = b.over(begin + seconds{10});
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].key, "a");
  EXPECT_EQ(held[0].lines, 5u);
  EXPECT_TRUE(b.over(begin + seconds{20}).empty()) << "it is reported once";
  EXPECT_TRUE(b.take(begin + seconds{20}, "a"));
}

TEST(line_budget, keeps_the_count_when_the_next_period_begins_first) {
  line_budget b{1, seconds{10}};
  const time_point begin{seconds{1000}};
  for (int i = 0; i < 4; ++i) (void)b.take(begin, "a");
  EXPECT_TRUE(b.take(begin + seconds{10}, "a"));
  const auto held = b.over(begin + seconds{10});
  ASSERT_EQ(held.size(), 1u);
  EXPECT_EQ(held[0].lines, 3u);
}

TEST(line_budget, is_bounded_and_survives_a_clock_that_is_set_back) {
  line_budget b{1, seconds{10}, 3};
  const time_point begin{seconds{1000}};
  for (int i = 0; i < 100; ++i) (void)b.take(begin, "key " + std::to_string(i));
  EXPECT_FALSE(b.take(begin, "another")) << "shares one count with the others";
  EXPECT_TRUE(b.take(begin - seconds{500}, "key 0"));
  std::size_t held = 0;
  for (const auto& h : b.over(begin + seconds{10})) held += h.lines;
  EXPECT_GE(held, 97u);
}

}  // namespace
}  // namespace cpns
