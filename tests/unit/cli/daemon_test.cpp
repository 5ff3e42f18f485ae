// Signals and the ready file of a role.
#include "cli/daemon.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <exception>

#include "base/log.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

/// A role may hang while it starts, drains or is destroyed; a second signal ends it anyway. Runs in a death test's process.
[[noreturn]] void two_signals(int first, int second) {
  block_signals();
  signal_watch signals{"server"};
  ::kill(::getpid(), first);
  if (signals.next(10'000) != first) _exit(7);
  ::kill(::getpid(), second);
  for (;;) ::pause();
}

TEST(signal_watch_death, ends_a_hanging_process_at_the_second_signal) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(two_signals(SIGTERM, SIGTERM), testing::ExitedWithCode(1), "a second signal: ending at once");
  EXPECT_EXIT(two_signals(SIGINT, SIGTERM), testing::ExitedWithCode(1), "a second signal");
}

/// With the log of a role: written by a thread of its own.
[[noreturn]] void two_signals_with_a_queued_log() {
  if (!log::configure({})) _exit(7);
  for (int i = 0; i < 100; ++i) log::info("server", "busy", "the role works");
  two_signals(SIGTERM, SIGTERM);
}

/// And with a log that nobody reads.
[[noreturn]] void two_signals_with_a_stuck_log() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0 || ::dup2(ends[1], STDERR_FILENO) < 0 || !log::configure({})) _exit(7);
  for (int i = 0; i < 100; ++i) log::info("server", "busy", std::string(1000, 'x'));
  two_signals(SIGTERM, SIGTERM);
}

TEST(signal_watch_death, writes_the_log_before_it_ends_the_process_at_once) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(two_signals_with_a_queued_log(), testing::ExitedWithCode(1), "a second signal: ending at once");
  EXPECT_EXIT(two_signals_with_a_stuck_log(), testing::ExitedWithCode(1), "");
}

TEST(terminate_death, writes_the_log_first) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(
      {
        if (!log::configure({})) _exit(7);
        write_log_before_terminate();
        log::info("server", "busy", "the last words");
        std::terminate();
      },
      testing::KilledBySignal(SIGABRT), "the last words\n.*terminate called");
}

TEST(signal_watch_death, ends_the_process_at_the_first_signal_when_the_role_ends_by_itself) {
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

TEST(signal_watch_death, restores_the_default_actions_when_destroyed) {
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

TEST(signal_watch_death, merges_hangups_and_ends_nothing) {
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

class ready_files : public test::temp_folder {
 protected:
  std::filesystem::path file = folder / "ready";
  std::string pid_line = "pid " + std::to_string(::getpid()) + "\n";
};

TEST_F(ready_files, exist_while_their_process_is_ready) {
  {
    auto ready = ready_file::claim(file).value();
    EXPECT_FALSE(std::filesystem::exists(file));
    ASSERT_TRUE(ready.write("127.0.0.1:7443"));
    EXPECT_EQ(read(file), "127.0.0.1:7443\n" + pid_line);
    const auto second = ready_file::claim(file);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, errc::store_locked);
    EXPECT_NE(second.error().detail.find("held by process " + std::to_string(::getpid())), std::string::npos)
        << second.error().detail;
    remove_stale_ready_file(file);
    EXPECT_TRUE(std::filesystem::exists(file));
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(ready_files, are_removed_when_their_process_died) {
  write("ready", "127.0.0.1:7443\npid 1\n");
  EXPECT_TRUE(ready_file::claim(file));
  EXPECT_FALSE(std::filesystem::exists(file));
  write("ready", "127.0.0.1:7443\npid 1\n");
  remove_stale_ready_file(file);
  EXPECT_FALSE(std::filesystem::exists(file));
  write("ready", "role: server\n");
  remove_stale_ready_file(file);
  EXPECT_TRUE(std::filesystem::exists(file)) << "no process wrote this one";
}

TEST_F(ready_files, refuse_a_path_that_is_something_else) {
  EXPECT_EQ(ready_file::claim(folder).error().code, errc::config_file);
  std::filesystem::create_symlink("elsewhere", file);
  EXPECT_EQ(ready_file::claim(file).error().code, errc::config_file);
  EXPECT_TRUE(ready_file::claim({})->write("x"));
}

}  // namespace
}  // namespace cpns::cli
