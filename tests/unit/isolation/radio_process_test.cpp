// The process of a radio: its environment, how it is ended, and that it leaves nothing behind.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <set>
#include <thread>

#include "hearing.hpp"

namespace cpns::plugins::isolation {
namespace {

/// Waits for the end of any process.
bool gone(pid_t process) {
  const auto until = clock::now() + 10s;
  while (clock::now() < until) {
    std::ifstream file{"/proc/" + std::to_string(process) + "/stat"};
    std::string text;
    std::getline(file, text);
    if (text.empty() || text.find(") Z ") != std::string::npos) return true;
    std::this_thread::yield();
  }
  return false;
}

TEST_F(isolated, returns_with_new_links_when_it_is_killed_repeatedly) {
  const auto t = open(unruly());
  ASSERT_TRUE(t->scan(true));
  link_id l = 0;
  for (int i = 0; i < 10; ++i) {
    const auto next = hears.link_after(l);
    ASSERT_GT(next, l);
    l = next;
    ASSERT_TRUE(hears.echoes(*t, l, bytes{static_cast<std::uint8_t>(i), 1}));
    ::kill(only_child(), SIGKILL);
  }
  EXPECT_TRUE(hears.link_after(l));
  EXPECT_EQ(isolation_counters_of(*t).ends, 10u);
  EXPECT_EQ(isolation_counters_of(*t).restarts, 10u);
  EXPECT_EQ(isolation_counters_of(*t).hangs, 0u);
}

TEST_F(isolated, kills_a_process_that_does_not_answer) {
  const auto t = open(unruly());
  ASSERT_TRUE(t->scan(true));
  const auto l = hears.link_after(0);
  ::kill(only_child(), SIGSTOP);
  std::size_t taken = 0;
  for (auto sent = t->send(l, bytes(1000)); sent; sent = t->send(l, bytes(1000))) ++taken;
  EXPECT_EQ(t->send(l, bytes(1)).error().code, errc::state_overloaded) << "its queue is bounded";
  EXPECT_EQ(taken, 128u);
  EXPECT_EQ(hears.reason(l), "the radio's process did not answer for 500 ms");
  EXPECT_TRUE(hears.echoes(*t, hears.link_after(l), bytes{1}));
  EXPECT_EQ(isolation_counters_of(*t).hangs, 1u);
}

TEST_F(isolated, kills_a_process_that_uses_too_much_memory) {
  const auto t = open(unruly({{"does", "eat memory"}, {"once", (folder / "done").string()}}));
  ASSERT_TRUE(t->scan(true));
  const auto l = hears.link_after(0);
  EXPECT_EQ(hears.reason(l), "the radio's process used more than 512 MiB of memory");
  EXPECT_TRUE(hears.echoes(*t, hears.link_after(l), bytes{1}));
  EXPECT_EQ(isolation_counters_of(*t).ends, 1u);
}

TEST_F(isolated, closes_in_time_whatever_the_radio_does) {
  for (const char* how : {"hang in close", "stopped", "while it starts again", "at once"}) {
    hearing unheard;
    auto s = quick();
    if (how == std::string{"while it starts again"}) s.pauses.first = s.pauses.most = 1h;
    const auto params = how == std::string{"hang in close"}
                            ? std::map<std::string, std::string>{{"does", how}}
                            : std::map<std::string, std::string>{};
    auto t = open_isolated(unruly(params), s, unheard);
    ASSERT_TRUE(t);
    ASSERT_TRUE((*t)->scan(true));
    if (how != std::string{"at once"}) {
      ASSERT_TRUE(unheard.link_after(0));
    }
    if (how == std::string{"stopped"}) ::kill(only_child(), SIGSTOP);
    if (how == std::string{"while it starts again"}) {
      ::kill(only_child(), SIGKILL);
      unheard.reason(1);
      EXPECT_FALSE((*t)->connect("x"));
      EXPECT_TRUE((*t)->scan(false));
    }
    const auto begun = clock::now();
    (*t)->close();
    EXPECT_LT(clock::now() - begun, 5s) << how;
    EXPECT_TRUE(children().empty()) << how;
    EXPECT_TRUE(unheard.kept_rules()) << how;
  }
}

TEST_F(isolated, starts_its_process_without_secrets_and_foreign_descriptors) {
  ::setenv("CPNS_TEST_PASSPHRASE", "of a store", 1);
  const int secret_file = ::open("/dev/zero", O_RDONLY);  // without O_CLOEXEC, by mistake
  ASSERT_GE(secret_file, 0);
  const auto t = open(unruly());
  const auto proc = std::filesystem::path{"/proc"} / std::to_string(only_child());
  std::ifstream words{proc / "cmdline", std::ios::binary};
  std::string line{std::istreambuf_iterator<char>{words}, {}};
  EXPECT_EQ(line, std::string("cpns\0--cpns-radio-child\0"
                              "3\0radio\0",
                              32))
      << "neither parameters nor role are visible";
  std::ifstream limits{proc / "limits"};
  std::string all{std::istreambuf_iterator<char>{limits}, {}};
  EXPECT_NE(all.find("Max core file size        0 "), std::string::npos) << all;
  std::ifstream status{proc / "status"};
  std::string text{std::istreambuf_iterator<char>{status}, {}};
  EXPECT_NE(text.find("SigBlk:\t0000000000000000"), std::string::npos) << text;
  // Its standard streams and its socket.
  std::set<std::string> open_files;
  for (const auto& fd : std::filesystem::directory_iterator{proc / "fd"})
    if (const auto n = fd.path().filename().string(); n.size() == 1 && n <= "3")
      open_files.insert(n);
    else
      EXPECT_EQ(std::filesystem::read_symlink(fd.path()).string(), CPNS_UNRULY) << n;
  EXPECT_EQ(open_files.size(), 4u);
  EXPECT_EQ(std::filesystem::read_symlink(proc / "fd" / "0").string(), "/dev/null");
  std::ifstream environment{proc / "environ", std::ios::binary};
  const std::string inherited{std::istreambuf_iterator<char>{environment}, {}};
  EXPECT_NE(inherited.find("PATH="), std::string::npos) << inherited;
  EXPECT_EQ(inherited.find("PASSPHRASE"), std::string::npos);
  // A service manager sends SIGTERM to all processes; the role decides when the radio ends.
  ::kill(only_child(), SIGTERM);
  ::kill(only_child(), SIGINT);
  ASSERT_TRUE(t->scan(true));
  EXPECT_TRUE(hears.link_after(0));
}

TEST_F(isolated, waits_and_is_not_open_while_its_process_starts_again) {
  auto s = quick();
  s.pauses.first = s.pauses.most = 1h;
  const auto t = open(unruly(), s);
  EXPECT_EQ(t->state().kind, transport_state::kind_t::open);
  ASSERT_TRUE(t->scan(true));
  const auto link = hears.link_after(0);
  ASSERT_NE(link, 0u);
  ::kill(only_child(), SIGKILL);
  EXPECT_FALSE(hears.reason(link).empty()) << "the link is down, so the transport knows of the end";
  EXPECT_EQ(t->state().kind, transport_state::kind_t::waiting);
  EXPECT_NE(t->state().why.find("signal 9"), std::string::npos) << t->state().why;
}

TEST_F(isolated, kills_the_children_of_its_process_too) {
  const auto t = open(unruly({{"does", "fork in scan"}, {"once", (folder / "done").string()}}));
  ASSERT_TRUE(t->scan(true));
  const auto l = hears.link_after(0);
  const auto radio = only_child();
  const auto started = children(radio);
  ASSERT_EQ(started.size(), 1u);
  ::kill(radio, SIGKILL);
  EXPECT_TRUE(hears.echoes(*t, hears.link_after(l), bytes{1}));
  EXPECT_TRUE(gone(started.front()));
}

TEST_F(isolated, ends_its_process_when_the_role_dies) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const auto role = ::fork();
  ASSERT_GE(role, 0);
  if (role == 0) {
    auto t = open_isolated(unruly(), quick(), hears);
    const auto all = children();
    const pid_t child = all.size() == 1 ? all.front() : -1;
    (void)!::write(ends[1], &child, sizeof child);
    ::raise(SIGKILL);
  }
  pid_t child = -1;
  ASSERT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ::close(ends[0]);
  ::close(ends[1]);
  ::waitpid(role, nullptr, 0);
  ASSERT_GT(child, 0);
  EXPECT_TRUE(gone(child));
}

}  // namespace
}  // namespace cpns::plugins::isolation
