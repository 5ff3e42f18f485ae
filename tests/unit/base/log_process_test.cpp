// The log at the end of a process, and in a child made by fork.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <thread>

#include "log_fixture.hpp"

namespace cpns::log {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;

/// Runs in the process of a death test, whose standard error is the log.
void log_a_thousand_lines() {
  if (!configure({})) _exit(7);
  for (int i = 0; i < 1000; ++i) info("server", "e", "number " + std::to_string(i));
}

TEST(log_process_death, writes_its_last_lines_at_a_normal_exit) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        log_a_thousand_lines();
        std::exit(0);
      },
      testing::ExitedWithCode(0), AllOf(HasSubstr("number 0\n"), HasSubstr("number 999\n")));
}

TEST(log_process_death, writes_its_last_lines_before_it_ends_at_once) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        log_a_thousand_lines();
        flush();
        _exit(3);
      },
      testing::ExitedWithCode(3), HasSubstr("number 999\n"));
}

/// Standard error becomes a pipe that nobody reads.
[[noreturn]] void end_with_a_stuck_log() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0 || ::dup2(ends[1], STDERR_FILENO) < 0) _exit(7);
  log_a_thousand_lines();
  for (int i = 0; i < 1000; ++i) info("server", "e", std::string(100, 'x'));
  std::exit(5);
}

TEST(log_process_death, ends_within_the_limit_when_nobody_reads_its_log) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EXIT(end_with_a_stuck_log(), testing::ExitedWithCode(5), "");
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s);
}

TEST(log_process_death, does_not_take_signals_in_the_thread_of_the_log) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        if (!configure({})) _exit(7);
        sigset_t term;
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &term, nullptr);
        ::kill(::getpid(), SIGTERM);
        int got = 0;
        _exit(sigwait(&term, &got) == 0 && got == SIGTERM ? 0 : 8);
      },
      testing::ExitedWithCode(0), "");
}

/// The exit code of a child that runs `work`; -1 if it hangs for 20 s.
template <class Work>
int in_child(Work work) {
  const auto pid = ::fork();
  if (pid == 0) {
    ::alarm(20);
    work();
    ::_exit(0);
  }
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

class log_fork : public log_test {};

TEST_F(log_fork, leaves_a_log_that_works_in_the_child_and_queued_lines_to_the_parent) {
  ASSERT_TRUE(configure(s));
  std::atomic<bool> over{false};
  std::vector<std::thread> running;
  for (int t = 0; t < 2; ++t)
    running.emplace_back([&over, t] {
      for (int i = 0; !over; ++i) {
        warn("server", "e", "parent", {{"thread", std::to_string(t)}, {"number", std::to_string(i)}});
        if (i % 64 == 0) flush();
      }
    });
  constexpr int children = 30;
  for (int c = 0; c < children; ++c)
    EXPECT_EQ(in_child([c, this] {
                info("server", "e", "child", {{"number", std::to_string(c)}});
                if (!set_level("server", level::debug) || !flush()) ::_exit(1);
                if (c % 2 == 0 && !configure(s)) ::_exit(2);
                error("server", "e", "child again", {{"number", std::to_string(c)}});
              }),
              0);
  over = true;
  for (auto& r : running) r.join();
  std::map<std::string, int> times;
  for (const auto& text : texts()) ++times[text];
  for (const auto& [text, count] : times) EXPECT_EQ(count, 1) << text;
  for (int c = 0; c < children; ++c) {
    EXPECT_EQ(times["child number=" + std::to_string(c)], 1);
    EXPECT_EQ(times["child again number=" + std::to_string(c)], 1);
  }
}

TEST_F(log_fork, copies_no_line_that_the_parent_has_queued) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  s.file = "/proc/self/fd/" + std::to_string(ends[1]);
  ASSERT_TRUE(configure(s));
  const std::string long_text(1000, 'x');
  for (int i = 0; i < 200; ++i) info("server", "e", long_text);  // more than the pipe takes
  EXPECT_FALSE(flush(1ms));
  const auto queued = statistics().queued;
  EXPECT_GT(queued, 0U);
  EXPECT_EQ(in_child([] {
              if (statistics().queued != 0 || !flush()) ::_exit(1);
            }),
            0);
  std::thread reader{[&] {
    std::array<char, 65536> buffer{};
    while (::read(ends[0], buffer.data(), buffer.size()) > 0) {
    }
  }};
  EXPECT_TRUE(flush());
  ASSERT_TRUE(configure({}));
  flush();
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
}

}  // namespace
}  // namespace cpns::log
