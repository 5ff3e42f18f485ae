#include "storage/write_times.hpp"

#include <gtest/gtest.h>

namespace cpns::storage {
namespace {

using namespace std::chrono_literals;

TEST(write_times, have_a_median_and_a_p99) {
  write_times t;
  EXPECT_EQ(t.last().writes, 0U);
  t.add(3ms);
  EXPECT_EQ(t.last().median_ms, 3);
  EXPECT_EQ(t.last().p99_ms, 3);
  for (int i = 1; i < 100; ++i) t.add(i == 7 ? 900ms : i == 8 ? 800ms : 2500us);
  EXPECT_EQ(t.last().writes, 100U);
  EXPECT_EQ(t.last().median_ms, 2.5);
  EXPECT_EQ(t.last().p99_ms, 800);
}

TEST(write_times, forget_what_is_long_past) {
  write_times t;
  for (int i = 0; i < 10; ++i) t.add(10s);
  for (std::size_t i = 0; i < write_times::kept; ++i) t.add(1ms);
  EXPECT_EQ(t.last().writes, write_times::kept);
  EXPECT_EQ(t.last().p99_ms, 1);
}

}  // namespace
}  // namespace cpns::storage
