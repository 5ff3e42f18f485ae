// The worst network, failing disks and crashes everywhere: the invariants hold, and at the end both sides hold the
// same key.
#include <gtest/gtest.h>

#include "tests/unit/machines/crowd.hpp"

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

int stale(const harness& w) { return w.real ? w.real->stale : w.server.stale; }

void crash_at_each_output(side which, bool forgets, std::uint8_t suite, bool real = false) {
  for (int k = 0; k < 60; ++k) {
    harness_options o;
    o.seed = static_cast<std::uint64_t>(k) + 1;
    o.pne_forgets = forgets;
    o.suite = suite;
    o.real_server = real;
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

struct chaos_kind {
  std::string_view name;
  unsigned loss, duplicate, reorder, persist_failure, nonce_failure;
  unsigned crash_per_mille;
  bool forgets;
  std::size_t strangers = 0;
};

void storm(const chaos_kind& kind, std::uint64_t seed, bool real) {
  harness_options o;
  o.seed = seed;
  o.real_server = real;
  o.loss = kind.loss;
  o.duplicate = kind.duplicate;
  o.reorder = kind.reorder;
  o.persist_failure = kind.persist_failure;
  o.nonce_failure = kind.nonce_failure;
  o.pne_forgets = kind.forgets;
  o.suite = seed % 3 == 0 ? suite_symmetric : suite_x25519;
  harness w{o};
  w.server.rekey = 40s;
  w.server.set_size = 12;
  if (w.real) {
    w.real->settings.rekey = 40s;
    w.real->settings.set_size = 12;
    w.real->write_failures = kind.persist_failure;
    w.real->ends_per_mille = kind.crash_per_mille * 3;
    w.real->restart();
  }
  w.before_output = [&](side, int) { return w.random.next() % 1000 < kind.crash_per_mille; };
  std::optional<crowd> strangers;
  if (kind.strangers > 0) strangers.emplace(w, kind.strangers, lie::mixed);
  const auto run = [&](seconds span) { strangers ? strangers->run(span) : w.run(span); };
  w.connect();
  for (int minute = 0; minute < 6; ++minute) {
    run(50s);
    if (w.random.chance(40)) w.connect();
    if (w.gw && w.random.chance(20)) w.gw->handle_update_request(w.now);
    if (w.pne && w.random.chance(20)) w.pne->handle_sleep(w.now);
    run(10s);
    if (w.pne && w.random.chance(50)) w.pne->handle_wake(w.now);
    w.server_up = !w.random.chance(20);
  }
  if (strangers) strangers->leave();
  w.settle();
  ASSERT_EQ(w.disagreement(), "") << kind.name << ", seed " << seed;
  if (!kind.forgets) {
    ASSERT_EQ(stale(w), 0) << kind.name << ", seed " << seed;
  }
}

constexpr chaos_kind kinds[] = {
    {"a poor radio", 25, 15, 20, 0, 0, 0, false},
    {"poor disks", 5, 5, 5, 15, 10, 0, false},
    {"crashes", 10, 10, 10, 2, 5, 15, false},
    {"a forgetful device", 10, 10, 10, 2, 5, 10, true},
    {"strangers and a poor radio", 15, 10, 10, 0, 5, 0, false, 8},
    {"strangers and crashes", 5, 5, 5, 2, 5, 10, true, 8},
    {"a crowd and a poor radio", 15, 10, 10, 0, 5, 0, false, 64},
    {"a crowd and crashes", 5, 5, 5, 2, 5, 10, true, 64},
};

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
