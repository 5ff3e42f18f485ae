// Simulated time, and a plugin's timers that use it.
#include "plugins/host/simulated_clock.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <string>
#include <vector>

#include "plugins/host/event_loop.hpp"

namespace cpns::plugins {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t day_ms = 24 * 60 * 60 * 1000;

/// Records which timers ran, and when.
struct diary {
  struct entry {
    diary* of;
    std::string what;
  };
  simulated_clock* clock;
  std::mutex guard;
  std::vector<std::string> lines;
  static void due(void* user) {
    auto& e = *static_cast<entry*>(user);
    const std::lock_guard lock{e.of->guard};
    e.of->lines.push_back(e.what + "@" + std::to_string(e.of->clock->now_ms()));
  }
};

struct simulated_time : testing::Test {
  simulated_clock clock;
  std::atomic<int> threw{0};
  event_loop loop{[this] { ++threw; }, &clock};
  diary heard{.clock = &clock, .guard = {}, .lines = {}};
  const std::uint64_t begun = clock.now_ms();
  std::string at(const std::string& what, std::uint64_t ms) {
    return what + "@" + std::to_string(begun + ms);
  }
};

TEST_F(simulated_time, runs_timers_exactly_at_their_time_and_in_order) {
  diary::entry a{&heard, "a"}, b{&heard, "b"}, c{&heard, "c"};
  loop.start(5000, diary::due, &c);
  loop.start(day_ms, diary::due, &b);
  loop.start(5000, diary::due, &a);
  EXPECT_EQ(loop.now_ms(), begun);
  EXPECT_TRUE(clock.run_for(2 * day_ms));
  EXPECT_EQ(heard.lines, (std::vector{at("c", 5000), at("a", 5000), at("b", day_ms)}));
  EXPECT_EQ(loop.now_ms(), begun + 2 * day_ms);
}

TEST_F(simulated_time, runs_timers_that_other_timers_start) {
  struct ticker {
    event_loop* loop;
    int left = 1000;
    static void tick(void* user) {
      auto& t = *static_cast<ticker*>(user);
      if (--t.left > 0) t.loop->start(60'000, tick, user);
    }
  } ticker{&loop};
  loop.start(60'000, ticker::tick, &ticker);
  EXPECT_TRUE(clock.run_for(std::uint64_t{1000} * 60'000));
  EXPECT_EQ(ticker.left, 0);
}

TEST_F(simulated_time, does_not_run_a_stopped_timer) {
  diary::entry a{&heard, "a"}, b{&heard, "b"};
  const auto first = loop.start(10, diary::due, &a);
  loop.start(20, diary::due, &b);
  loop.stop(first);
  EXPECT_TRUE(clock.run_for(100));
  EXPECT_EQ(heard.lines, std::vector{at("b", 20)});
}

TEST_F(simulated_time, stands_still_while_it_is_held) {
  diary::entry a{&heard, "a"};
  loop.start(10, diary::due, &a);
  loop.hold();
  EXPECT_FALSE(clock.run_until(begun + 100, 20ms));
  EXPECT_EQ(loop.now_ms(), begun);
  EXPECT_TRUE(heard.lines.empty());
  loop.release();
  loop.release();  // one release too many
  EXPECT_TRUE(clock.run_for(100));
  EXPECT_EQ(heard.lines.size(), 1u);
}

TEST_F(simulated_time, releases_holds_and_timers_of_an_ended_loop) {
  diary::entry a{&heard, "a"};
  loop.start(10, diary::due, &a);
  loop.hold();
  loop.end();
  loop.hold();
  EXPECT_TRUE(clock.run_until(begun + 100, 20ms));
  EXPECT_TRUE(heard.lines.empty());
}

TEST_F(simulated_time, stands_still_while_a_callback_runs) {
  struct gate {
    std::promise<void> inside, open;
    static void due(void* user) {
      auto& g = *static_cast<gate*>(user);
      g.inside.set_value();
      g.open.get_future().wait();
    }
  } gate;
  diary::entry later{&heard, "later"};
  loop.start(10, gate::due, &gate);
  loop.start(11, diary::due, &later);
  EXPECT_FALSE(clock.run_until(begun + 100, 20ms));
  gate.inside.get_future().wait();
  EXPECT_EQ(clock.now_ms(), begun + 10);
  gate.open.set_value();
  EXPECT_TRUE(clock.run_until(begun + 100));
  EXPECT_EQ(heard.lines, std::vector{at("later", 11)});
}

TEST_F(simulated_time, never_goes_back) {
  EXPECT_TRUE(clock.run_for(500));
  EXPECT_TRUE(clock.run_until(begun));
  EXPECT_EQ(clock.now_ms(), begun + 500);
}

}  // namespace
}  // namespace cpns::plugins
