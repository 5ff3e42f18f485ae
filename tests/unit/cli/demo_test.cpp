// How often a demo renews keys without --rekey.
#include <gtest/gtest.h>

#include <utility>

#include "cli/demo/deployment.hpp"

namespace cpns::cli {
namespace {

std::uint32_t rekey_with(std::uint32_t pnes, std::uint32_t chosen = 0) {
  demo_options o;
  o.pnes = pnes;
  o.rekey_seconds = chosen;
  return rekey_of(o);
}

TEST(demo, renews_many_pnes_at_no_more_than_500_per_second) {
  EXPECT_EQ(rekey_with(10'000), 20u);
  EXPECT_EQ(rekey_with(100'000), 200u);
  EXPECT_EQ(rekey_with(3'000), 6u);
}

TEST(demo, renews_a_few_pnes_every_five_seconds) {
  EXPECT_EQ(rekey_with(2'999), 5u);
  EXPECT_EQ(rekey_with(5), 5u);
  EXPECT_EQ(rekey_with(0), 5u);
}

TEST(demo, keeps_the_interval_of_the_user_for_any_number) {
  EXPECT_EQ(rekey_with(10'000, 3), 3u);
  EXPECT_EQ(rekey_with(1, 3600), 3600u);
}

TEST(demo, renews_every_two_seconds_for_an_application_and_at_most_100_pnes_per_second) {
  demo_options o;
  o.application = "mqtt";
  for (const auto& [pnes, interval] : {std::pair{5U, 2U}, {200U, 2U}, {300U, 3U}, {1000U, 10U}}) {
    o.pnes = pnes;
    EXPECT_EQ(rekey_of(o), interval) << pnes;
  }
  o.rekey_seconds = 7;
  EXPECT_EQ(rekey_of(o), 7U);
}

TEST(demo, orders_updates_only_where_the_timers_are_long_and_the_user_chose_none) {
  demo_options o;
  o.pnes = 5'499;
  EXPECT_FALSE(orders_updates(o));
  o.pnes = 5'500;
  EXPECT_TRUE(orders_updates(o));
  o.pnes = 100'000;
  EXPECT_TRUE(orders_updates(o));
  o.rekey_seconds = 60;
  EXPECT_FALSE(orders_updates(o));
}

}  // namespace
}  // namespace cpns::cli
