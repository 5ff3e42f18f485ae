// Which requests are worked on, wait, or are refused. The clock is the test's.
#include "server/admission.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <vector>

#include "server/undelivered.hpp"
#include "server/user_work.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server {
namespace {

using verdict = admission::verdict;

/// A door, and what happens at it.
struct door {
  steady::time_point now{seconds{1000}};
  testing_people::seeded_entropy random{5};
  std::shared_ptr<admission> at = std::make_shared<admission>(random, [this] { return now; });
  admission::bounds most{2, milliseconds{250}};
  std::deque<work_place> places;        ///< in work, the oldest first
  std::vector<std::uint64_t> turns;     ///< numbers, in the order of their turns
  std::vector<std::uint64_t> too_long;  ///< numbers that waited for too long
  std::uint64_t next = 0;
  /// Turns are given by calls of the takers.
  admission::turn_taker taker = std::make_shared<const admission::turn_fn>([this](auto number, work_place p) {
    if (!p) return too_long.push_back(number);
    turns.push_back(number);
    places.push_back(std::move(p));
  });

  verdict ask(const gateway_id& gw) { return ask(gw, taker); }
  verdict ask(const gateway_id& gw, const admission::turn_taker& by) {
    work_place p;
    const auto v = at->ask(gw, most, by, next++, p);
    EXPECT_EQ(static_cast<bool>(p), v == verdict::work);
    if (p) places.push_back(std::move(p));
    return v;
  }
  void finish_oldest() {
    const auto done = std::move(places.front());  // its end gives a turn, which adds a place
    places.pop_front();
  }
  ~door() {
    while (!places.empty()) finish_oldest();
  }
  /// Requests of the gateway until one is refused; how many were taken.
  std::size_t flood(const gateway_id& gw) {
    std::size_t n = 0;
    while (ask(gw) != verdict::refuse) ++n;
    return n;
  }
  /// Jobs end at this rate, with a request of `gw` for each, until the rate is known.
  void work_at(std::uint64_t per_second, const gateway_id& gw, milliseconds time = seconds{2}) {
    const auto each = steady::duration{seconds{1}} / per_second;
    for (const auto until = now + time; now < until; now += each) {
      ask(gw);
      finish_oldest();
    }
  }
};

gateway_id gateway(int n) { return testing_people::gateway_named("urn:cpns:gw:" + std::to_string(n)); }

TEST(admission, lets_in_up_to_the_bound_and_gives_the_places_on) {
  door d;
  EXPECT_EQ(d.ask(gateway(1)), verdict::work);
  EXPECT_EQ(d.ask(gateway(1)), verdict::work);
  EXPECT_EQ(d.ask(gateway(1)), verdict::wait);
  EXPECT_EQ(d.at->look().in_work, 2u);
  EXPECT_EQ(d.at->look().waiting, 1u);
  d.finish_oldest();
  EXPECT_EQ(d.turns, std::vector<std::uint64_t>{2});
  EXPECT_EQ(d.at->look().in_work, 2u);
  d.places.clear();
  EXPECT_EQ(d.at->look().in_work, 0u);
}

TEST(admission, gives_turns_to_gateways_one_after_the_other_however_many_requests_one_has) {
  door d;
  d.flood(gateway(1));
  const auto a = d.next;
  EXPECT_EQ(d.ask(gateway(2)), verdict::wait);
  const auto b = d.next;
  EXPECT_EQ(d.ask(gateway(3)), verdict::wait);
  for (int i = 0; i < 3; ++i) d.finish_oldest();
  ASSERT_EQ(d.turns.size(), 3u) << "one turn per gateway";
  EXPECT_EQ(std::count(d.turns.begin(), d.turns.end(), a), 1);
  EXPECT_EQ(std::count(d.turns.begin(), d.turns.end(), b), 1);
}

TEST(admission, a_gateway_that_floods_leaves_room_for_the_first_request_of_each_other_one) {
  door d;
  const auto taken = d.flood(gateway(1));
  EXPECT_LE(taken, d.most.in_work + admission::budget(0, d.most));
  for (int g = 2; g < 12; ++g) EXPECT_EQ(d.ask(gateway(g)), verdict::wait) << g;
  EXPECT_EQ(d.ask(gateway(1)), verdict::refuse);
}

TEST(admission, is_bounded_however_many_gateways_come) {
  door d;
  for (int g = 0; g < 5000; ++g) d.ask(gateway(g));
  EXPECT_LE(d.at->look().waiting, 2 * admission::budget(0, d.most));
}

TEST(admission, takes_as_many_as_have_their_turn_in_time_at_the_measured_rate) {
  door d;
  d.flood(gateway(1));
  d.work_at(2000, gateway(1));
  EXPECT_NEAR(d.at->look().per_second, 2000, 20);
  d.flood(gateway(1));
  const auto fast = d.at->look().waiting;
  EXPECT_EQ(fast, 500u) << "one gateway may fill the line";
  EXPECT_EQ(admission::budget(2000, d.most), 500u);
  d.work_at(200, gateway(1), seconds{10});
  EXPECT_NEAR(d.at->look().per_second, 200, 2);
  EXPECT_LT(d.at->look().waiting, fast) << "slower work takes fewer";
}

TEST(admission, waits_for_writes_that_take_some_tenths_of_a_second) {
  door d;
  d.most.in_work = 512;
  // All jobs in work end with a write; requests come all the time.
  const auto write_takes = [&d](steady::duration time, int requests) {
    int refused = 0;
    for (int i = 0; i < requests; ++i) {
      d.now += time / requests;
      refused += d.ask(gateway(i % 20)) == verdict::refuse ? 1 : 0;
    }
    for (auto n = d.places.size(); n > 0; --n) d.finish_oldest();
    return refused;
  };
  EXPECT_EQ(write_takes(milliseconds{150}, 700), 0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(write_takes(milliseconds{130}, 512), 0) << i;
  EXPECT_NEAR(d.at->look().per_second, 512 / 0.13, 400);
  EXPECT_EQ(write_takes(milliseconds{400}, 1200), 0)
      << "a stop that ends sooner than a refused request returns";
}

TEST(admission, does_not_take_a_stop_for_the_rate_if_none_has_waited_before) {
  door d;
  d.most.in_work = 512;
  for (int i = 0; i < 8000; ++i) {  // 4,000 jobs in a second, of which none waits
    d.now += std::chrono::microseconds{250};
    EXPECT_EQ(d.ask(gateway(i % 20)), verdict::work);
    d.finish_oldest();
  }
  int refused = 0;
  for (int i = 0; i < 1400; ++i) {
    d.now += std::chrono::microseconds{250};
    refused += d.ask(gateway(i % 20)) == verdict::refuse ? 1 : 0;
  }
  EXPECT_EQ(refused, 0);
}

TEST(admission, refuses_at_once_while_writes_take_seconds) {
  door d;
  d.most.in_work = 512;
  d.flood(gateway(1));
  d.work_at(4000, gateway(1));
  d.now += milliseconds{600};
  d.at->end_long_waits();
  std::size_t taken = 0;
  for (int g = 0; g < 500; ++g) taken += d.ask(gateway(g)) == verdict::wait ? 1 : 0;
  EXPECT_LE(taken, 64u);
}

TEST(admission, notices_work_that_stands_still) {
  door d;
  d.flood(gateway(1));
  d.work_at(4000, gateway(1));
  const auto before = d.at->look().per_second;
  d.now += seconds{2};
  EXPECT_LT(d.at->look().per_second, before / 10);
  EXPECT_GE(d.at->look().oldest, seconds{2});
  d.at->end_long_waits();
  EXPECT_EQ(d.at->look().waiting, 0u);
  EXPECT_FALSE(d.too_long.empty());
}

TEST(admission, a_repetition_that_ends_work_has_a_place_at_once) {
  door d;
  d.flood(gateway(1));
  const auto place = d.at->enter();
  EXPECT_TRUE(place);
  EXPECT_EQ(d.at->look().in_work, 3u);
}

TEST(admission, forgets_the_requests_of_a_connection_that_ended_and_no_others) {
  door d;
  d.ask(gateway(1));
  d.ask(gateway(1));
  const auto other = std::make_shared<const admission::turn_fn>(*d.taker);
  EXPECT_EQ(d.ask(gateway(1)), verdict::wait);
  EXPECT_EQ(d.ask(gateway(1), other), verdict::wait);
  d.at->forget(gateway(1), d.taker);
  EXPECT_EQ(d.at->look().waiting, 1u);
  d.at->forget(gateway(1), other);
  EXPECT_EQ(d.at->look().gateways_waiting, 0u);
  d.places.clear();
  EXPECT_EQ(d.at->look().in_work, 0u);
  EXPECT_TRUE(d.turns.empty());
}

TEST(admission, a_turn_that_nobody_takes_goes_to_the_next_one_without_nesting) {
  door d;
  d.most.in_work = 50'000;
  std::size_t dropped = 0;
  const auto gone = std::make_shared<const admission::turn_fn>([&dropped](auto, work_place) { ++dropped; });
  while (d.ask(gateway(1), gone) != verdict::refuse) {
  }
  const auto waiting = d.at->look().waiting;
  EXPECT_GE(waiting, 20'000u);
  d.finish_oldest();
  EXPECT_EQ(dropped, waiting);
  EXPECT_EQ(d.at->look().in_work, 49'999u);
}

TEST(admission, sends_refused_requests_away_for_longer_the_more_of_them_there_are) {
  door d;
  d.flood(gateway(1));
  d.work_at(1000, gateway(1));
  std::map<std::uint32_t, int> by_second;
  std::uint64_t first = 0, last = 0;
  for (int i = 0; i < 4000; ++i) {
    const auto wait = d.at->retry_after();
    ++by_second[wait];
    (i < 500 ? first : last) += i < 500 || i >= 3500 ? wait : 0;
  }
  EXPECT_GE(by_second.begin()->first, 1u);
  EXPECT_LT(first * 4, last);
  for (const auto& [wait, n] : by_second) EXPECT_LE(n, 250) << "a quarter of the rate, at " << wait;
  EXPECT_GE(by_second.size(), 12u);
  EXPECT_EQ(d.at->look().returns, 4000u);
}

TEST(admission, spreads_those_for_whom_there_is_no_place_before_the_gateway_gives_up) {
  testing_people::seeded_entropy random{6};
  return_calendar c{random};
  const steady::time_point now{seconds{77}};
  std::map<std::uint32_t, int> late;
  for (int i = 0; i < 4000; ++i)
    if (const auto wait = c.take(now, 10); wait >= return_calendar::horizon) ++late[wait];
  EXPECT_EQ(c.taken(now), 10u * (return_calendar::horizon - 1));
  EXPECT_GE(late.size(), return_calendar::later);
  EXPECT_LE(late.rbegin()->first, return_calendar::horizon + return_calendar::later);
  EXPECT_EQ(c.take(now + seconds{40}, 10), 1u) << "the places of the past are free";
}

TEST(user_work, counts_the_requests_of_each_user) {
  const auto all = std::make_shared<user_work>();
  const auto alice = user_id::parse("alice@example.org").value(),
             bob = user_id::parse("bob@example.org").value();
  auto first = all->take(alice, 2);
  {
    const auto second = all->take(alice, 2);
    EXPECT_TRUE(second);
    EXPECT_FALSE(all->take(alice, 2));
    EXPECT_TRUE(all->take(bob, 2));
  }
  auto moved = std::move(first);
  EXPECT_TRUE(all->take(alice, 2));
  EXPECT_EQ(all->users(), 1u);
  moved = {};
  EXPECT_EQ(all->users(), 0u);
}

TEST(undelivered_answers, are_taken_once_and_bounded) {
  testing_people::seeded_entropy random{8};
  undelivered_answers all;
  const auto first = random.draw_id<request_id>();
  EXPECT_FALSE(all.take(first));
  all.put(first);
  EXPECT_TRUE(all.take(first));
  EXPECT_FALSE(all.take(first));
  all.put(first);
  for (std::size_t i = 0; i < undelivered_answers::most + 1; ++i) all.put(random.draw_id<request_id>());
  EXPECT_FALSE(all.take(first)) << "the oldest is forgotten";
}

}  // namespace
}  // namespace cpns::server
