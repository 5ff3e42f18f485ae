// The host's timers and descriptor watches for plugins.
#include "plugins/host/event_loop.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>

namespace cpns::plugins {
namespace {

using namespace std::chrono_literals;

struct event_loops : testing::Test {
  std::atomic<int> threw{0};
  event_loop loop{[this] { ++threw; }};
};

/// A counter that the loop's thread increments and the test waits for.
struct counter {
  std::atomic<int> n{0};
  static void up(void* user) {
    auto& c = *static_cast<counter*>(user);
    ++c.n;
    c.n.notify_all();
  }
  void wait_for(int wanted) {
    for (int now = n; now < wanted; now = n) n.wait(now);
  }
};

struct pipe_ends {
  int read = -1, write = -1;
  pipe_ends() {
    int fds[2];
    if (::pipe(fds) == 0) read = fds[0], write = fds[1];
  }
  ~pipe_ends() { ::close(read), ::close(write); }
};

TEST_F(event_loops, run_a_timer_once_and_not_before_its_time) {
  counter c;
  const auto begun = loop.now_ms();
  EXPECT_NE(loop.start(20, counter::up, &c), 0u);
  c.wait_for(1);
  EXPECT_GE(loop.now_ms() + 1, begun + 20);
  counter later;
  loop.start(30, counter::up, &later);
  later.wait_for(1);
  EXPECT_EQ(c.n, 1);
}

TEST_F(event_loops, run_timers_in_order) {
  counter first, second;
  loop.start(40, counter::up, &second);
  loop.start(1, counter::up, &first);
  second.wait_for(1);
  EXPECT_EQ(first.n, 1);
}

TEST_F(event_loops, do_not_run_a_stopped_timer) {
  counter stopped, after;
  const auto id = loop.start(5, counter::up, &stopped);
  loop.stop(id);
  loop.stop(id);
  loop.stop(0);
  loop.stop(9999);
  loop.start(30, counter::up, &after);
  after.wait_for(1);
  EXPECT_EQ(stopped.n, 0);
}

TEST_F(event_loops, wait_in_stop_for_a_running_callback) {
  struct slow {
    std::promise<void> begun;
    std::atomic<bool> done{false};
  } s;
  const auto id = loop.start(
      0,
      [](void* user) {
        auto& x = *static_cast<slow*>(user);
        x.begun.set_value();
        std::this_thread::yield();
        for (int i = 0; i < 1000; ++i) std::this_thread::yield();
        x.done = true;
      },
      &s);
  s.begun.get_future().wait();
  loop.stop(id);
  EXPECT_TRUE(s.done);
}

TEST_F(event_loops, allow_a_timer_to_stop_itself_and_to_start_others) {
  struct chain {
    event_loop& loop;
    counter& done;
    std::uint64_t id = 0;
    int left = 5;
    static void next(void* user) {
      auto& x = *static_cast<chain*>(user);
      x.loop.stop(x.id);
      if (--x.left == 0) return counter::up(&x.done);
      x.id = x.loop.start(0, next, user);
    }
  };
  counter done;
  chain c{loop, done};
  // A timer starts the first one, too, so that its id is known before it runs.
  loop.start(
      0,
      [](void* user) {
        auto& x = *static_cast<chain*>(user);
        x.id = x.loop.start(0, chain::next, user);
      },
      &c);
  done.wait_for(1);
  EXPECT_EQ(c.left, 0);
}

TEST_F(event_loops, report_a_descriptor_while_it_is_ready) {
  pipe_ends p;
  struct reader {
    int fd;
    counter told;
  } r{p.read, {}};
  const auto id = loop.watch(
      p.read, CPNS_FD_READABLE,
      [](void* user, std::uint32_t events) {
        auto& x = *static_cast<reader*>(user);
        EXPECT_EQ(events, CPNS_FD_READABLE);
        char one = 0;
        EXPECT_EQ(::read(x.fd, &one, 1), 1);
        counter::up(&x.told);
      },
      &r);
  ASSERT_NE(id, 0u);
  ASSERT_EQ(::write(p.write, "abc", 3), 3);
  r.told.wait_for(3);
  loop.stop(id);
  ASSERT_EQ(::write(p.write, "d", 1), 1);
  counter after;
  loop.start(20, counter::up, &after);
  after.wait_for(1);
  EXPECT_EQ(r.told.n, 3);
  char left = 0;
  EXPECT_EQ(::read(p.read, &left, 1), 1) << "the plugin keeps the descriptor";
}

TEST_F(event_loops, pause_a_watch_on_request) {
  pipe_ends p;
  struct writer {
    counter told;
    event_loop& loop;
    std::atomic<std::uint64_t> id{0};
  } w{{}, loop, {}};
  w.id = loop.watch(
      p.write, 0,
      [](void* user, std::uint32_t) {
        auto& x = *static_cast<writer*>(user);
        x.loop.change(x.id, 0);
        counter::up(&x.told);
      },
      &w);
  counter quiet;
  loop.start(20, counter::up, &quiet);
  quiet.wait_for(1);
  EXPECT_EQ(w.told.n, 0);
  loop.change(w.id, CPNS_FD_WRITABLE);
  w.told.wait_for(1);
  loop.change(w.id, CPNS_FD_WRITABLE);
  w.told.wait_for(2);
}

TEST_F(event_loops, refuse_an_invalid_descriptor) {
  EXPECT_EQ(loop.watch(
                -1, CPNS_FD_READABLE, [](void*, std::uint32_t) {}, nullptr),
            0u);
  EXPECT_EQ(loop.watch(
                98765, CPNS_FD_READABLE, [](void*, std::uint32_t) {}, nullptr),
            0u);
}

TEST_F(event_loops, report_an_exception_and_continue) {
  loop.start(
      0, [](void*) { throw std::runtime_error{"x"}; }, nullptr);
  counter c;
  loop.start(20, counter::up, &c);
  c.wait_for(1);
  EXPECT_EQ(threw, 1);
}

TEST_F(event_loops, accept_nothing_and_run_nothing_after_the_end) {
  counter c;
  loop.start(10, counter::up, &c);
  loop.end();
  EXPECT_EQ(loop.start(0, counter::up, &c), 0u);
  pipe_ends p;
  EXPECT_EQ(loop.watch(
                p.read, CPNS_FD_READABLE, [](void*, std::uint32_t) {}, nullptr),
            0u);
  loop.change(1, 1);
  loop.stop(1);
  loop.end();
  EXPECT_EQ(c.n, 0);
}

TEST_F(event_loops, let_many_threads_start_and_stop_timers) {
  counter c;
  std::vector<std::thread> all;
  for (int t = 0; t < 4; ++t)
    all.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        const auto id = loop.start(0, counter::up, &c);
        if (i % 2 == 0) loop.stop(id);
      }
    });
  for (auto& t : all) t.join();
  c.wait_for(400);
  EXPECT_LE(c.n, 800);
}

}  // namespace
}  // namespace cpns::plugins
