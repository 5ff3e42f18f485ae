#include "actors/pn_gw/packed_rest.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <vector>

namespace cpns::actors {
namespace {

using protocol::gw_resting;

const time_point packed_at{seconds{1000}};

gw_resting usual() {
  gw_resting r;
  r.link = protocol::gw_link{1, 77};
  r.updated_at = packed_at - seconds{10};
  r.update_due = packed_at + seconds{3600};
  r.resets = 2;
  r.rekey_seconds = 3610;
  return r;
}

void expect_same(const gw_resting& a, const gw_resting& b) {
  EXPECT_EQ(a.link, b.link);
  EXPECT_EQ(a.updated_at, b.updated_at);
  EXPECT_EQ(a.update_due, b.update_due);
  EXPECT_EQ(a.claims_not_before, b.claims_not_before);
  EXPECT_EQ(a.notice_not_before, b.notice_not_before);
  EXPECT_EQ(a.same_id_not_before, b.same_id_not_before);
  EXPECT_EQ(a.resets, b.resets);
  EXPECT_EQ(a.rekey_seconds, b.rekey_seconds);
  EXPECT_EQ(a.attempts, b.attempts);
  EXPECT_EQ(a.bad_possessions, b.bad_possessions);
  EXPECT_EQ(a.asleep, b.asleep);
  EXPECT_EQ(a.let_in, b.let_in);
  EXPECT_EQ(a.woke, b.woke);
  EXPECT_EQ(a.server_wanted, b.server_wanted);
  EXPECT_EQ(a.recover_wanted, b.recover_wanted);
  EXPECT_EQ(a.claimed, b.claimed);
  EXPECT_EQ(a.request_is_refill, b.request_is_refill);
  EXPECT_EQ(a.place, b.place);
}

void expect_kept(const gw_resting& r) { expect_same(packed_rest(r, "", packed_at).unpacked(), r); }

TEST(packed_rest, keeps_what_is_usual) {
  expect_kept(usual());
  auto away = usual();
  away.link.reset();
  expect_kept(away);
  EXPECT_FALSE(packed_rest(away, "", packed_at).link());
}

TEST(packed_rest, keeps_each_member_that_is_unusual) {
  const auto place = std::make_shared<const protocol::gw_place>(protocol::gw_place{"radio", "there"});
  const std::vector<std::function<void(gw_resting&)>> changes{
      [](gw_resting& r) { r.claims_not_before = packed_at + seconds{1}; },
      [](gw_resting& r) { r.claims_not_before = packed_at + seconds{5'000'000}; },
      [](gw_resting& r) { r.updated_at = packed_at + seconds{6'000'000}; },
      [](gw_resting& r) { r.notice_not_before = packed_at + seconds{1}; },
      [](gw_resting& r) { r.same_id_not_before = packed_at + seconds{1}; },
      [](gw_resting& r) { r.resets = 255; },
      [](gw_resting& r) { r.resets = 256; },
      [](gw_resting& r) { r.attempts = 255; },
      [](gw_resting& r) { r.bad_possessions = 1; },
      [](gw_resting& r) { r.asleep = true; },
      [](gw_resting& r) { r.let_in = true; },
      [](gw_resting& r) { r.woke = true; },
      [](gw_resting& r) { r.server_wanted = true; },
      [](gw_resting& r) { r.recover_wanted = true; },
      [](gw_resting& r) { r.claimed = true; },
      [](gw_resting& r) { r.request_is_refill = true; },
      [&](gw_resting& r) { r.place = place; },
      [](gw_resting& r) { r.update_due = time_never; },
  };
  auto all = usual();
  for (const auto& change : changes) {
    auto one = usual();
    change(one);
    change(all);
    expect_kept(one);
    expect_kept(all);
  }
}

TEST(packed_rest, keeps_any_members_at_random) {
  for (unsigned seed = 1; seed <= 20'000; ++seed) {
    std::mt19937_64 random{seed};
    // Few members are unusual in most of them, and many in some.
    const auto rarely = 2 + random() % 20;
    const auto unusual = [&] { return random() % rarely == 0; };
    const auto flag = [&] { return random() % 2 == 0; };
    const auto later = [&] {
      return packed_at + milliseconds{1 + random() % (unusual() ? 8'000'000'000 : 600'000)};
    };
    auto r = usual();
    if (unusual()) r.link = protocol::gw_link{random() % 4, random()};
    if (unusual()) r.link.reset();
    if (unusual()) r.updated_at = unusual() ? later() : time_zero;
    if (flag()) r.update_due = unusual() ? time_never : later();
    if (flag()) r.claims_not_before = later();
    if (unusual()) r.notice_not_before = later();
    if (unusual()) r.same_id_not_before = later();
    r.resets = unusual() ? random() : random() % 300;
    r.rekey_seconds = static_cast<std::uint32_t>(random());
    if (unusual()) r.attempts = static_cast<std::uint8_t>(random());
    if (unusual()) r.bad_possessions = static_cast<std::uint8_t>(random());
    r.asleep = flag(), r.let_in = flag(), r.woke = flag(), r.server_wanted = flag();
    r.recover_wanted = flag(), r.claimed = flag(), r.request_is_refill = flag();
    if (unusual()) r.place = std::make_shared<const protocol::gw_place>(protocol::gw_place{"radio", "there"});
    expect_kept(r);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST(packed_rest, drops_only_times_that_are_over) {
  auto r = usual();
  r.claims_not_before = packed_at;
  r.notice_not_before = packed_at - seconds{1};
  r.same_id_not_before = packed_at + milliseconds{1};
  auto wanted = r;
  wanted.claims_not_before = wanted.notice_not_before = time_zero;
  expect_same(packed_rest(r, "", packed_at).unpacked(), wanted);
}

TEST(packed_rest, keeps_the_places_of_two_with_the_same_id) {
  EXPECT_EQ(packed_rest(usual(), "here and there", packed_at).same_id(), "here and there");
  EXPECT_EQ(packed_rest(usual(), "", packed_at).same_id(), "");
}

TEST(packed_rest, forgets_the_place_and_has_other_updates) {
  auto r = usual();
  r.place = std::make_shared<const protocol::gw_place>();
  r.attempts = 3;
  packed_rest p(r, "here and there", packed_at);
  p.forget_place();
  p.set_update_due(packed_at + seconds{5});
  r.place.reset();
  r.update_due = packed_at + seconds{5};
  expect_same(p.unpacked(), r);
  EXPECT_EQ(p.same_id(), "here and there");
}

}  // namespace
}  // namespace cpns::actors
