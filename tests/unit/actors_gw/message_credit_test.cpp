// The credit of the messages that wait in the mailboxes of devices.
#include "actors/message_credit.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace cpns::actors {
namespace {

TEST(message_credit, a_message_counts_until_its_last_copy_is_gone) {
  message_credit c{10'000};
  auto one = c.take(1000);
  ASSERT_TRUE(one);
  EXPECT_EQ(c.used(), 1000 + message_credit::message_extra);
  auto copy = one;
  one.reset();
  EXPECT_GT(c.used(), 1000u);
  copy.reset();
  EXPECT_EQ(c.used(), 0u);
}

TEST(message_credit, gives_no_more_than_there_is_also_to_empty_messages) {
  message_credit c{10 * message_credit::message_extra};
  std::vector<message_credit::hold> all;
  while (auto one = c.take(0)) all.push_back(std::move(one));
  EXPECT_EQ(all.size(), 10u);
  EXPECT_EQ(c.used(), 10 * message_credit::message_extra);
  all.pop_back();
  EXPECT_FALSE(c.take(1));
  EXPECT_TRUE(c.take(0));
}

TEST(message_credit, a_message_may_outlive_it) {
  message_credit::hold last;
  {
    message_credit c{10'000};
    last = c.take(1);
  }
  last.reset();
}

}  // namespace
}  // namespace cpns::actors
