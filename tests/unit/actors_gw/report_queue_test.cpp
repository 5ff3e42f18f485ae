// The order and times of reports to the server: an unanswered entry backs off and delays no other.
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

TEST(report_queue, removes_an_answered_entry) {
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

TEST(report_queue, backs_off_an_unanswered_entry) {
  report_queue q;
  q.add(begin, device(1), first);
  int sent = 0;
  for (auto t = begin; t < begin + seconds{3600}; t += seconds{1}) {
    q.add(t, device(1), first);  // its device repeats it
    if (q.take(t, 256).empty()) continue;
    ++sent;
    q.unanswered(t, seconds{0});
  }
  EXPECT_GE(sent, 12);
  EXPECT_LE(sent, 18) << "5, 10, 20 ... 300 s apart";
}

TEST(report_queue, obeys_retry_after_up_to_a_bound) {
  report_queue q;
  q.add(begin, device(1), first);
  ASSERT_EQ(q.take(begin, 256).size(), 1u);
  q.unanswered(begin, seconds{60});
  EXPECT_TRUE(q.take(begin + seconds{59}, 256).empty());
  ASSERT_EQ(q.take(begin + seconds{60}, 256).size(), 1u);
  q.unanswered(begin + seconds{60}, seconds{4'000'000'000});
  EXPECT_EQ(q.take(begin + seconds{60} + report_queue::pause_max, 256).size(), 1u);
}

TEST(report_queue, unanswered_entries_do_not_starve_others) {
  report_queue q;
  for (int i = 0; i < 256; ++i) q.add(begin, device(i), first);
  for (int i = 256; i < 300; ++i) q.add(begin + seconds{1}, device(i), first);
  ASSERT_EQ(q.take(begin + seconds{1}, 256).size(), 256u);
  q.unanswered(begin + seconds{1}, seconds{5});
  const auto next = q.take(begin + seconds{1}, 256);
  ASSERT_EQ(next.size(), 44u) << "the entries behind them are due at once";
  EXPECT_EQ(next.front().first, device(256));
}

TEST(report_queue, a_later_epoch_replaces_the_one_in_flight) {
  report_queue q;
  q.add(begin, device(1), first);
  ASSERT_EQ(q.take(begin, 256).size(), 1u);
  q.add(begin, device(1), second);
  EXPECT_EQ(q.answered(device(1)), std::nullopt) << "the answer is for the previous epoch";
  q.unanswered(begin, seconds{60});
  const auto next = q.take(begin, 256);
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next.front().second, second);
}

TEST(report_queue, a_lost_connection_causes_no_back_off) {
  report_queue q;
  q.add(begin, device(1), first);
  ASSERT_EQ(q.take(begin, 256).size(), 1u);
  q.interrupted(begin);
  EXPECT_EQ(q.take(begin, 256).size(), 1u);
}

}  // namespace
}  // namespace cpns
