// The credit that all connections of a server share.
#include "server/frame_credit.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace cpns::server {
namespace {

struct waiter {
  std::string& order;
  char name;
  bool alive = true;
  frame_credit::turn_fn turn() {
    return [this] {
      if (alive) order += name;
      return alive;
    };
  }
};

TEST(frame_credit, counts_what_the_shares_hold) {
  const auto credit = std::make_shared<frame_credit>(100);
  {
    credit_share a{credit}, b{credit};
    a.hold(40);
    b.hold(30);
    EXPECT_EQ(credit->used(), 70u);
    EXPECT_FALSE(credit->nearly_used());
    b.hold(35);
    EXPECT_TRUE(credit->nearly_used());
    a.hold(10);
    EXPECT_EQ(credit->used(), 45u);
  }
  EXPECT_EQ(credit->used(), 0u);
}

TEST(frame_credit, without_one_a_share_has_no_bound) {
  credit_share none{nullptr};
  none.hold(1'000'000);
  EXPECT_TRUE(none.may_read([] { return true; }));
  none.pass_on();
}

TEST(frame_credit, those_over_it_wait_and_are_read_in_their_order) {
  const auto credit = std::make_shared<frame_credit>(100);
  std::string order;
  waiter x{order, 'x'}, y{order, 'y'};
  credit_share holder{credit}, first{credit}, second{credit};
  EXPECT_TRUE(holder.may_read(x.turn()));
  holder.hold(200);
  EXPECT_FALSE(first.may_read(x.turn()));
  EXPECT_FALSE(second.may_read(y.turn()));
  EXPECT_EQ(credit->pauses(), 2u);
  holder.hold(150);
  EXPECT_EQ(order, "") << "still over it";
  holder.hold(50);
  EXPECT_EQ(order, "x") << "one read may use up what is left";
  first.pass_on();
  EXPECT_EQ(order, "xy");
  EXPECT_TRUE(holder.may_read(x.turn()));
}

TEST(frame_credit, a_newcomer_does_not_overtake_those_that_wait) {
  const auto credit = std::make_shared<frame_credit>(40'000);
  std::string order;
  waiter x{order, 'x'}, y{order, 'y'}, z{order, 'z'};
  credit_share holder{credit}, other{credit};
  holder.hold(40'000);
  EXPECT_FALSE(other.may_read(x.turn()));
  EXPECT_FALSE(other.may_read(y.turn()));
  holder.hold(39'999);
  EXPECT_EQ(order, "x");
  EXPECT_FALSE(other.may_read(z.turn())) << "y waits";
  holder.hold(0);
  EXPECT_EQ(order, "xyz");
}

TEST(frame_credit, the_turn_of_a_connection_that_ended_is_the_next_ones) {
  const auto credit = std::make_shared<frame_credit>(100);
  std::string order;
  waiter gone{order, 'g', false}, y{order, 'y'};
  credit_share holder{credit}, other{credit};
  holder.hold(100);
  EXPECT_FALSE(other.may_read(gone.turn()));
  EXPECT_FALSE(other.may_read(y.turn()));
  holder.hold(99);
  EXPECT_EQ(order, "y");
}

TEST(frame_credit, more_credit_lets_those_that_wait_read) {
  const auto credit = std::make_shared<frame_credit>(100);
  std::string order;
  waiter x{order, 'x'};
  credit_share holder{credit};
  holder.hold(100);
  EXPECT_FALSE(holder.may_read(x.turn()));
  credit->set_most(200);
  EXPECT_EQ(order, "x");
}

TEST(frame_credit, every_one_that_waits_is_read_whatever_the_threads_do) {
  const auto credit = std::make_shared<frame_credit>(1000);
  constexpr int rounds = 20'000;
  std::atomic<int> reads{0};
  std::vector<std::thread> all;
  for (int t = 0; t < 4; ++t)
    all.emplace_back([&] {
      credit_share mine{credit};
      for (int i = 0; i < rounds; ++i) {
        const auto turn = std::make_shared<std::atomic<bool>>(false);
        if (!mine.may_read([turn] {
              *turn = true;
              turn->notify_one();
              return true;
            }))
          turn->wait(false);
        ++reads;
        mine.hold(700);
        mine.hold(0);
        mine.pass_on();
      }
    });
  for (auto& t : all) t.join();
  EXPECT_EQ(reads, 4 * rounds);
  EXPECT_EQ(credit->used(), 0u);
}

}  // namespace
}  // namespace cpns::server
