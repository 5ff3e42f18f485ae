#include "consumers/mosquitto/tick_watch.h"

#include <gtest/gtest.h>

namespace {

TEST(TickWatch, AllowsALookUpWhileTheBrokerTicks) {
  tick_watch w{};
  tick_watch_tick(&w, 1'000);
  EXPECT_TRUE(tick_watch_allows(&w, 2'999));
  EXPECT_FALSE(tick_watch_allows(&w, 3'000));
  tick_watch_tick(&w, 3'100);
  EXPECT_TRUE(tick_watch_allows(&w, 3'200));
}

TEST(TickWatch, CountsFromTheFirstLookUpOfABrokerThatNeverTicked) {
  tick_watch w{};
  EXPECT_TRUE(tick_watch_allows(&w, 1'000'000));
  EXPECT_TRUE(tick_watch_allows(&w, 1'001'999));
  EXPECT_FALSE(tick_watch_allows(&w, 1'002'000));
  EXPECT_FALSE(tick_watch_allows(&w, 9'000'000));
}

}  // namespace
