// How often a demo renews keys when nobody said.
#include <gtest/gtest.h>

#include "cli/demo/deployment.hpp"

namespace cpns::cli {
namespace {

std::uint32_t rekey_with(std::uint32_t pnes, std::uint32_t said = 0) {
  demo_options o;
  o.pnes = pnes;
  o.rekey_seconds = said;
  return rekey_of(o);
}

TEST(demo, a_crowd_renews_at_a_rate_that_a_machine_can_bear) {
  EXPECT_EQ(rekey_with(10'000), 20u);
  EXPECT_EQ(rekey_with(100'000), 200u);
  EXPECT_EQ(rekey_with(3'000), 6u);
}

TEST(demo, a_few_renew_every_five_seconds) {
  EXPECT_EQ(rekey_with(2'999), 5u);
  EXPECT_EQ(rekey_with(5), 5u);
  EXPECT_EQ(rekey_with(0), 5u);
}

TEST(demo, what_the_user_said_holds_for_any_number) {
  EXPECT_EQ(rekey_with(10'000, 3), 3u);
  EXPECT_EQ(rekey_with(1, 3600), 3600u);
}

}  // namespace
}  // namespace cpns::cli
