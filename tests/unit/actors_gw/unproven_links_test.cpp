// The turns of unproven links: how many, how long, and which link is evicted.
#include "actors/pn_gw/unproven_links.hpp"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "tests/support/seeded_entropy.hpp"

namespace cpns::actors {
namespace {

using protocol::gw_link;

constexpr gw_link link(std::uint64_t n) { return {0, n}; }

struct unproven_turns : testing::Test {
  void come(std::uint64_t from, std::uint64_t to) {
    for (auto n = from; n <= to; ++n) all.add(link(n));
  }
  std::set<gw_link> asked() {
    std::set<gw_link> out;
    while (const auto l = all.next(now, random)) out.insert(*l);
    return out;
  }

  std::set<gw_link> all_answer() {
    const auto out = asked();
    for (const auto& l : out) all.answered(now, l);
    return out;
  }
  /// How long those that answer now have their turn, if they are silent then.
  milliseconds until_next() {
    all_answer();
    auto waited = milliseconds{0};
    for (; !all.next(now, random); now += milliseconds{1}) ++waited;
    return waited;
  }

  unproven_links all{10};
  test::seeded_entropy random{7};
  time_point now = time_zero + seconds{100};
};

TEST_F(unproven_turns, ten_have_their_turn_and_the_others_wait) {
  come(1, 18);
  EXPECT_EQ(asked().size(), 10u);
  EXPECT_EQ(all.waiting(), 8u);
  EXPECT_EQ(all.size(), 18u);
  EXPECT_EQ(all.next(now, random), std::nullopt);
}

TEST_F(unproven_turns, a_link_that_is_proven_gone_or_judged_gives_its_turn_to_another) {
  come(1, 18);
  auto first = asked();
  auto it = first.begin();
  const auto proven = *it++, judged = *it++, gone = *it++;
  all.answered(now, proven);
  all.remove(proven);
  all.answered(now, judged);
  all.judged(judged);
  all.remove(gone);
  const auto next = asked();
  EXPECT_EQ(next.size(), 3u);
  for (const auto& l : next) EXPECT_FALSE(first.contains(l));
  EXPECT_EQ(all.size(), 16u);
}

TEST_F(unproven_turns, silence_ends_a_turn_soon_and_an_answer_is_judged_in_peace) {
  come(1, 30);
  const auto first = asked();
  all.answered(now, *first.begin());
  EXPECT_EQ(all.next_turn(), now + unproven_links::silence_min);
  now += unproven_links::silence_min;
  EXPECT_EQ(asked().size(), 9u) << "all but the one that answered";
  now += unproven_links::judged_min - unproven_links::silence_min - milliseconds{1};
  EXPECT_EQ(asked().size(), 9u);
  now += unproven_links::silence_min;
  EXPECT_EQ(all.waiting(), 2u);
  EXPECT_EQ(asked().size(), 2u);
  EXPECT_EQ(all.next_turn(), time_never) << "none waits";
}

TEST_F(unproven_turns, slow_answers_make_silence_longer_up_to_the_answer_timeout) {
  come(1, 2000);
  for (int i = 0; i < 100; ++i) {
    const auto some = asked();
    now += milliseconds{200};
    for (const auto& l : some) {
      all.answered(now, l);
      all.remove(l);
    }
  }
  ASSERT_EQ(asked().size(), 10u);
  const auto length = all.next_turn() - now;
  EXPECT_GT(length, milliseconds{700});
  EXPECT_LE(length, milliseconds{800});
  now += seconds{60};
  for (int i = 0; i < 20; ++i) {
    const auto some = asked();
    now += seconds{9};
    for (const auto& l : some) {
      all.answered(now, l);
      all.remove(l);
    }
  }
  ASSERT_EQ(asked().size(), 10u);
  EXPECT_EQ(all.next_turn() - now, protocol::answer_timeout_default);
}

TEST_F(unproven_turns, slow_proofs_make_the_time_after_an_answer_longer_also_those_whose_turn_was_over) {
  const auto after_proofs_of = [this](milliseconds took) {
    come(1, 2000);
    for (int i = 0; i < 100; ++i) {
      const auto some = all_answer();
      now += took;
      all.draw(now, random);  // ends turns
      for (const auto& l : some) all.proven(now, l);
    }
    return until_next();
  };
  EXPECT_EQ(after_proofs_of(milliseconds{10}), unproven_links::judged_min);
  const auto slow = after_proofs_of(milliseconds{1500});
  EXPECT_GT(slow, milliseconds{5900});
  EXPECT_LE(slow, milliseconds{6000});
  EXPECT_EQ(after_proofs_of(seconds{600}), unproven_links::judged_within);
  EXPECT_EQ(after_proofs_of(milliseconds{10}), unproven_links::judged_min) << "the slow ones are forgotten";
}

TEST_F(unproven_turns, a_proof_after_a_person_or_the_server_was_waited_for_is_not_a_slow_one) {
  come(1, 100);
  for (const auto& l : all_answer()) {
    all.judged(l);
    all.proven(now + seconds{600}, l);
  }
  EXPECT_EQ(until_next(), unproven_links::judged_min);
}

TEST_F(unproven_turns, a_newcomer_takes_the_place_of_a_link_that_has_no_turn) {
  come(1, 20);
  const auto first = asked();
  for (const auto& l : first) all.answered(now, l);
  for (std::uint64_t n = 21; n < 500; ++n) {
    const auto out = all.draw(now, random);
    ASSERT_TRUE(out.has_value());
    EXPECT_FALSE(first.contains(*out));
    all.remove(*out);
    all.add(link(n));
  }
  now += unproven_links::judged_min;
  std::set<gw_link> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(*all.draw(now, random));
  EXPECT_EQ(drawn.size(), 20u) << "the turns are over";
}

TEST_F(unproven_turns, if_all_have_their_turn_any_is_evicted) {
  EXPECT_EQ(all.draw(now, random), std::nullopt);
  come(1, 10);
  EXPECT_EQ(asked().size(), 10u);
  std::set<gw_link> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(*all.draw(now, random));
  EXPECT_EQ(drawn.size(), 10u);
}

TEST_F(unproven_turns, silent_strangers_do_not_keep_a_link_waiting) {
  unproven_links many;
  std::uint64_t stranger = 1'000'000;
  for (int i = 0; i < 4095; ++i) many.add(link(++stranger));
  int served = 0;
  for (std::uint64_t honest = 1; honest <= 100; ++honest) {
    many.add(link(honest));
    for (int ms = 0; ms < 2000; ++ms) {
      now += milliseconds{1};
      for (int i = 0; i < 4; ++i) {  // 4,000 newcomers a second
        const auto out = *many.draw(now, random);
        many.remove(out);
        many.add(link(++stranger));
      }
      bool is_asked = false;
      while (const auto l = many.next(now, random)) is_asked = is_asked || *l == link(honest);
      if (is_asked) {
        ++served;
        break;
      }
    }
    many.remove(link(honest));
  }
  EXPECT_GE(served, 90);
}

TEST_F(unproven_turns, strangers_that_answer_and_then_say_nothing_do_not_keep_a_link_waiting) {
  unproven_links many;
  std::uint64_t stranger = 1'000'000;
  for (int i = 0; i < 4095; ++i) many.add(link(++stranger));
  // Each answers a millisecond after its DREQ, with an invented Entity ID and no presence.
  std::vector<gw_link> will_answer;
  const auto pass = [&](std::uint64_t honest) {  // a millisecond with 900 newcomers a second
    now += milliseconds{1};
    for (const auto& l : std::exchange(will_answer, {})) many.answered(now, l);
    if (random.below(10) < 9) {
      many.remove(*many.draw(now, random));
      many.add(link(++stranger));
    }
    bool is_asked = false;
    while (const auto l = many.next(now, random))
      *l == link(honest) ? void(is_asked = true) : will_answer.push_back(*l);
    return is_asked;
  };
  for (int ms = 0; ms < 10'000; ++ms) pass(0);
  int late = 0;
  for (std::uint64_t honest = 1; honest <= 100; ++honest) {
    many.add(link(honest));
    int waited = 1;
    while (waited < 500 && !pass(honest)) ++waited;
    late += waited == 500 ? 1 : 0;
    many.remove(link(honest));
  }
  EXPECT_EQ(late, 0) << "of 100 waited half a second";
}

TEST_F(unproven_turns, thousands_of_late_answers_take_no_more_than_the_turns) {
  unproven_links many;
  for (std::uint64_t n = 1; n <= 4096; ++n) many.add(link(n));
  while (many.waiting() > 0) {  // all are asked, and silent
    while (many.next(now, random)) {
    }
    now += unproven_links::silence_min;
  }
  for (std::uint64_t n = 1; n <= 4096; ++n) many.answered(now, link(n));
  const auto honest = link(5000);
  many.add(honest);
  int evicted = 0;
  for (int i = 0; i < 1000; ++i) evicted += many.draw(now, random) == honest ? 1 : 0;
  EXPECT_LT(evicted, 10) << "one of 3,073 without a turn";
  EXPECT_EQ(many.next(now, random), std::nullopt);
  EXPECT_EQ(many.next_turn() - now, unproven_links::judged_min);
  now += unproven_links::judged_min;
  EXPECT_EQ(many.next(now, random), honest);
}

}  // namespace
}  // namespace cpns::actors
