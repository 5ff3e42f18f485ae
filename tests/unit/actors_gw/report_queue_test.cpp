// When which epoch is reported to the server: what is refused waits, and holds up nothing else.
#include "actors/pn_gw/report_queue.hpp"

#include <gtest/gtest.h>

namespace cpns {
namespace {

using actors::report_queue;

constexpr time_point begin{seconds{1'800'000'000}};
const epoch first{1, 0}, second{1, 1};

entity_id device(int i) {
  return entity_id::parse("urn:dev:os:32473-report-" + std::to_string(1000 + i)).value();
}

TEST(report_queue, an_answered_entry_is_done_with) {
  report_queue q;
  q.add(begin, device(1), first);
  q.add(begin, device(1), first);
  const auto sent = q.take(begin, 256);
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(q.take(begin, 256).empty()) << "one report at a time";
  EXPECT_EQ(q.answered(device(1)), first);
  EXPECT_EQ(q.answered(device(1)), std::nullopt);
  EXPECT_TRUE(q.empty());
}

TEST(report_queue, an_entry_without_an_answer_is_sent_seldom) {
  report_queue q;
  q.add(begin, device(1), first);
  int sent = 0;
  for (auto t = begin; t < begin + seconds{3600}; t += seconds{1}) {
    q.add(t, device(1), first);  // its device reminds
    if (q.take(t, 256).empty()) continue;
    ++sent;
    q.unanswered(t, seconds{0});
  }
  EXPECT_GE(sent, 12);
  EXPECT_LE(sent, 18) << "5, 10, 20 ... 300 s apart";
}

TEST(report_queue, retry_after_is_heeded_within_a_bound) {
  report_queue q;
  q.add(begin, device(1), first);
  ASSERT_EQ(q.take(begin, 256).size(), 1u);
  q.unanswered(begin, seconds{60});
  EXPECT_TRUE(q.take(begin + seconds{59}, 256).empty());
  ASSERT_EQ(q.take(begin + seconds{60}, 256).size(), 1u);
  q.unanswered(begin + seconds{60}, seconds{4'000'000'000});
  EXPECT_EQ(q.take(begin + seconds{60} + report_queue::pause_max, 256).size(), 1u);
}

TEST(report_queue, entries_that_are_never_answered_starve_nobody) {
  report_queue q;
  for (int i = 0; i < 256; ++i) q.add(begin, device(i), first);
  for (int i = 256; i < 300; ++i) q.add(begin + seconds{1}, device(i), first);
  ASSERT_EQ(q.take(begin + seconds{1}, 256).size(), 256u);
  q.unanswered(begin + seconds{1}, seconds{5});
  const auto next = q.take(begin + seconds{1}, 256);
  ASSERT_EQ(next.size(), 44u) << "those behind them have their turn at once";
  EXPECT_EQ(next.front().first, device(256));
}

TEST(report_queue, a_later_epoch_takes_the_place_of_the_one_in_flight) {
  report_queue q;
  q.add(begin, device(1), first);
  ASSERT_EQ(q.take(begin, 256).size(), 1u);
  q.add(begin, device(1), second);
  EXPECT_EQ(q.answered(device(1)), std::nullopt) << "that answer is about the epoch before";
  q.unanswered(begin, seconds{60});
  const auto next = q.take(begin, 256);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next.front().second, second);
}

TEST(report_queue, a_lost_connection_costs_no_pause) {
  report_queue q;
  q.add(begin, device(1), first);
  ASSERT_EQ(q.take(begin, 256).size(), 1u);
  q.interrupted(begin);
  EXPECT_EQ(q.take(begin, 256).size(), 1u);
}

}  // namespace
}  // namespace cpns
