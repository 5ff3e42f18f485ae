// The worst network, failing disks and crashes everywhere: the invariants hold, and at the end both sides hold the
// same key.
#include <gtest/gtest.h>

#include "tests/unit/machines/storms.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

/// First contact, two wake-ups, one update by a person.
void live(harness& w) {
  w.connect();
  w.run(20s);
  for (int i = 0; i < 2; ++i) {
    w.connect();
    w.run(12s);
  }
  if (w.gw) w.gw->handle_update_request(w.now);
  w.run(12s);
}

void crash_at_each_output(side which, bool forgets, std::uint8_t suite, bool real = false,
                          milliseconds consumer_wait = 0ms) {
  for (int k = 0; k < 60; ++k) {
    harness_options o;
    o.seed = static_cast<std::uint64_t>(k) + 1;
    o.pne_forgets = forgets;
    o.suite = suite;
    o.real_server = real;
    o.consumer_wait = consumer_wait;
    harness w{o};
    bool crashed = false;
    w.before_output = [&](side s, int n) {
      if (s != which || n != k) return false;
      return crashed = true;
    };
    live(w);
    w.settle();
    ASSERT_EQ(w.disagreement(), "") << "crash of side " << static_cast<int>(which) << " before output " << k;
    ASSERT_EQ(stale(w), 0) << "the server called an honest device stale, output " << k;
    if (!crashed) {
      EXPECT_GT(k, 10);
      return;
    }
  }
}

TEST(chaos, both_sides_agree_when_the_gateway_crashes_before_each_output) {
  crash_at_each_output(side::gw, false, suite_x25519);
}
TEST(chaos, both_sides_agree_when_a_gateway_with_programs_crashes_before_each_output) {
  crash_at_each_output(side::gw, false, suite_x25519, false, 2s);
}
TEST(chaos, both_sides_agree_when_the_pne_crashes_before_each_output) {
  crash_at_each_output(side::pne, false, suite_x25519);
}
TEST(chaos, both_sides_agree_when_a_forgetful_pne_crashes_before_each_output) {
  crash_at_each_output(side::pne, true, suite_symmetric);
}

TEST(chaos, both_sides_agree_with_the_real_server_when_the_gateway_crashes_before_each_output) {
  crash_at_each_output(side::gw, false, suite_x25519, true);
}
TEST(chaos, both_sides_agree_with_the_real_server_when_a_forgetful_pne_crashes_before_each_output) {
  crash_at_each_output(side::pne, true, suite_symmetric, true);
}

TEST(chaos, both_sides_agree_when_the_gateway_crashes_twice) {
  for (int first = 0; first < 24; ++first)
    for (int second = first + 1; second < first + 10; ++second) {
      harness_options o;
      o.seed = static_cast<std::uint64_t>(first * 100 + second);
      harness w{o};
      w.before_output = [&](side s, int n) { return s == side::gw && (n == first || n == second); };
      w.connect();
      w.run(20s);
      w.settle();
      ASSERT_EQ(w.disagreement(), "") << first << ", " << second;
    }
}

TEST(chaos, both_sides_agree_after_seeded_storms) {
  for (const auto& kind : kinds)
    for (std::uint64_t seed = 1; seed <= 25; ++seed) ASSERT_NO_FATAL_FAILURE(storm(kind, seed, false));
}

TEST(chaos, both_sides_agree_with_the_real_server_after_seeded_storms) {
  for (const auto& kind : kinds)
    for (std::uint64_t seed = 101; seed <= 125; ++seed) ASSERT_NO_FATAL_FAILURE(storm(kind, seed, true));
}

/// A gateway without its disk, a server restored from a backup, a device that was reset, in any order.
void disasters(std::uint64_t seed) {
  harness_options o;
  o.seed = seed;
  o.real_server = true;
  o.loss = o.reorder = 10;
  harness w{o};
  w.real->settings.rekey = 40s;
  w.real->settings.set_size = 12;
  w.real->restart();
  auto backup = w.real->disk;
  w.connect();
  for (int minute = 0; minute < 10; ++minute) {
    w.run(50s);
    if (w.random.chance(20)) {
      w.lose_gateway_disk();
    }
    if (w.random.chance(15)) {
      w.real->disk = backup;
      ++w.real->settings.incarnation;
      w.real->restart();
    }
    if (w.random.chance(30)) backup = w.real->disk;
    if (w.random.chance(10)) w.factory_reset();
    if (w.random.chance(50)) w.connect();
    w.run(10s);
  }
  w.pne->handle_button(w.now);  // its key may be lost on all sides: then it needs a person
  w.settle();
  ASSERT_EQ(w.disagreement(), "") << "seed " << seed;
  ASSERT_EQ(stale(w), 0) << "seed " << seed;
}

TEST(chaos, both_sides_agree_after_lost_disks_restored_backups_and_resets) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) ASSERT_NO_FATAL_FAILURE(disasters(seed));
}

}  // namespace
}  // namespace cpns::test
