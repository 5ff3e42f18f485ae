// A role that starts, drains or is torn down may wait for anything; a second signal ends it all the same.
#include "cli/signals.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace cpns::cli {
namespace {

/// In a process of its own.
[[noreturn]] void two_signals(int first, int second) {
  block_signals();
  signal_watch signals{"server"};
  ::kill(::getpid(), first);
  if (signals.next(10'000) != first) _exit(7);
  ::kill(::getpid(), second);
  for (;;) ::pause();
}

TEST(signal_watch_death, the_second_signal_ends_a_process_that_does_not_listen) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(two_signals(SIGTERM, SIGTERM), testing::ExitedWithCode(1), "a second signal: ending at once");
  EXPECT_EXIT(two_signals(SIGINT, SIGTERM), testing::ExitedWithCode(1), "a second signal");
}

TEST(signal_watch_death, the_first_signal_counts_where_the_role_ends_by_itself) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        block_signals();
        signal_watch signals{"server"};
        signals.ending();
        ::kill(::getpid(), SIGTERM);
        for (;;) ::pause();
      },
      testing::ExitedWithCode(1), "a second signal");
}

TEST(signal_watch_death, after_it_a_signal_does_what_it_does_by_default) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        block_signals();
        {
          signal_watch signals{"server"};
          ::kill(::getpid(), SIGTERM);
          if (signals.next(10'000) != SIGTERM) _exit(7);
        }
        ::kill(::getpid(), SIGTERM);
        for (;;) ::pause();
      },
      testing::KilledBySignal(SIGTERM), "");
}

TEST(signal_watch_death, many_hangups_are_one_and_end_nothing) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        block_signals();
        signal_watch signals{"server"};
        for (int i = 0; i < 5; ++i) ::kill(::getpid(), SIGHUP);
        if (signals.next(10'000) != SIGHUP) _exit(7);
        ::kill(::getpid(), SIGTERM);
        int s = 0;
        while (s == 0 || s == SIGHUP) s = signals.next(10'000);
        _exit(s == SIGTERM ? 0 : 8);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace cpns::cli
