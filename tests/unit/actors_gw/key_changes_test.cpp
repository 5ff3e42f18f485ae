// The changes of keys for the programs that watch them, on several threads.

#include "actors/application_keys/key_changes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cpns::actors {
namespace {

entity_id device(int number) {
  return entity_id::parse("urn:dev:os:32473-" + std::to_string(number)).value();
}

std::vector<entity_id> devices_of(const key_changes::batch& b) {
  std::vector<entity_id> out;
  for (const auto& c : b.changes) out.push_back(c.device);
  return out;
}

TEST(key_changes, tell_of_each_device_once_by_its_newest_change) {
  key_changes changes;
  for (const int n : {1, 2, 3, 1}) changes.changed(device(n));
  auto got = changes.after(0, 2);
  EXPECT_THAT(devices_of(got), testing::ElementsAre(device(2), device(3)));
  EXPECT_EQ(got.last, 3U);
  EXPECT_EQ(changes.newest_of(device(1)), 4U);
  EXPECT_EQ(changes.newest_of(device(9)), 0U);
  changes.changed(device(2));
  got = changes.after(got.last, 10);
  EXPECT_THAT(devices_of(got), testing::ElementsAre(device(1), device(2)));
  EXPECT_EQ(got.last, changes.newest());
  got = changes.after(got.last, 10);
  EXPECT_TRUE(got.changes.empty());
  EXPECT_EQ(got.last, changes.newest());
}

TEST(key_changes, lose_a_reader_only_with_more_devices_than_are_kept) {
  constexpr int kept = 100;
  key_changes changes{kept};
  for (int round = 0; round < 50; ++round)
    for (int n = 0; n < kept; ++n) changes.changed(device(n));
  EXPECT_FALSE(changes.after(0, 1).lost);
  changes.changed(device(kept));
  EXPECT_TRUE(changes.after(0, 1).lost);
  EXPECT_FALSE(changes.after(changes.newest() - kept, 1).lost);
}

TEST(key_changes, reach_a_reader_that_is_slower_than_they_are) {
  constexpr int devices = 1000;
  key_changes changes{devices};
  std::uint64_t place = 0;
  for (int i = 0; i < 50 * devices; ++i) {
    changes.changed(device(i % devices));
    if (i % 640 != 0) continue;  // it reads a tenth of them
    const auto got = changes.after(place, 64);
    ASSERT_FALSE(got.lost);
    place = got.last;
  }
  std::size_t left = 0;
  for (auto got = changes.after(place, 64); !got.changes.empty(); got = changes.after(place, 64)) {
    ASSERT_FALSE(got.lost);
    left += got.changes.size();
    place = got.last;
  }
  EXPECT_LE(left, static_cast<std::size_t>(devices));
  EXPECT_EQ(place, changes.newest());
}

TEST(key_changes, take_a_listener_that_drops_its_ticket_when_it_is_woken) {
  key_changes changes;
  std::shared_ptr<void> ticket;
  int wakes = 0;
  ticket = changes.listen([&] {
    ++wakes;
    ticket.reset();
  });
  changes.changed(device(1));
  changes.changed(device(2));
  EXPECT_EQ(wakes, 1);
}

TEST(key_changes, come_from_one_thread_while_watches_begin_and_end_on_others) {
  constexpr int devices = 50, readers = 3, changes_all = 20'000;
  key_changes changes;
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> wakes{0};
  std::vector<std::set<entity_id>> seen(readers);
  std::vector<std::thread> all;
  for (int r = 0; r < readers; ++r)
    all.emplace_back([&, r] {
      std::uint64_t place = 0;
      for (bool last = false; !last;) {
        last = over;
        const auto ticket = changes.listen([&wakes] { ++wakes; });
        for (auto got = changes.after(place, 16); !got.changes.empty(); got = changes.after(place, 16)) {
          for (const auto& c : got.changes) seen[static_cast<std::size_t>(r)].insert(c.device);
          place = got.last;
          if (got.lost) return;
          if (!last && over) break;
        }
      }
      EXPECT_EQ(place, changes.newest());
    });
  for (int i = 0; i < changes_all; ++i) changes.changed(device(i % devices));
  while (wakes == 0) changes.changed(device(0));
  over = true;
  for (auto& t : all) t.join();
  for (const auto& s : seen) EXPECT_EQ(s.size(), static_cast<std::size_t>(devices));
}

}  // namespace
}  // namespace cpns::actors
