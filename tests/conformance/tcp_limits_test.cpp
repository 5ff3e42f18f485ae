// How many links a tcp radio holds, what an idle one costs, and what happens above the limit.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/descriptor.hpp"
#include "base/sockets.hpp"
#include "pair.hpp"

namespace cpns::plugins {
namespace {

/// Sets the soft limit of open files of this process for its scope.
class open_files {
 public:
  explicit open_files(rlim_t most) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit now = before_;
    now.rlim_cur = most;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &now), 0);
  }
  ~open_files() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  open_files(const open_files&) = delete;
  open_files& operator=(const open_files&) = delete;

 private:
  rlimit before_{};
};

auto open_central(const params& p, listener& hears) {
  return load_transport({"tcp", transport_role::central, p, {}}, hears);
}

/// A connection of a PNE to 127.0.0.1:port; its hello is sent.
descriptor link_to(std::uint16_t port, const std::string& network) {
  descriptor d{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(d.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  const auto body = std::string{"cpns-tcp/1\0", 11} + network;
  const std::string hello{'\0', '\0', '\0', static_cast<char>(body.size())};
  (void)::send(d.get(), (hello + body).data(), hello.size() + body.size(), MSG_NOSIGNAL);
  return d;
}

bool closed_by_peer(const descriptor& d) {
  pollfd waiting{d.get(), POLLIN, 0};
  char byte = 0;
  return ::poll(&waiting, 1, 20'000) == 1 && ::recv(d.get(), &byte, 1, 0) <= 0;
}

std::uint64_t counter(const transport& t, const std::string& name) {
  for (const auto& c : t.counters())
    if (c.name == name) return c.value;
  return 0;
}

double cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

TEST(tcp_limits, holds_as_many_links_as_the_open_files_allow_less_the_reserve) {
  const open_files most{1024};
  listener hears;
  const auto all = open_central({}, hears);
  ASSERT_TRUE(all) << all.error().message();
  EXPECT_EQ((*all)->info().max_links, 1024u - 128u);
}

TEST(tcp_limits, refuses_more_links_than_the_open_files_allow) {
  const open_files most{1024};
  listener hears;
  for (const auto* kept : {"896", "1"}) EXPECT_TRUE(open_central({{"max_links", kept}}, hears)) << kept;
  const auto refused = open_central({{"max_links", "897"}}, hears);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::config_range);
  EXPECT_EQ(refused.error().parameter, "max_links");
  for (const auto* word :
       {"at most 896, not 897", "may open 1024 files", "128 are for other things", "ulimit -n"})
    EXPECT_NE(refused.error().detail.find(word), std::string::npos) << refused.error().detail;
}

TEST(tcp_limits, counts_the_links_of_all_radios_of_a_process) {
  const open_files most{1024};
  listener hears;
  auto one = open_central({{"max_links", "500"}}, hears);
  ASSERT_TRUE(one);
  const auto refused = open_central({{"max_links", "400"}}, hears);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("and 500 for its other tcp radios"), std::string::npos)
      << refused.error().detail;
  EXPECT_TRUE(open_central({{"max_links", "396"}}, hears));
  const auto rest = open_central({}, hears);
  ASSERT_TRUE(rest);
  EXPECT_EQ((*rest)->info().max_links, 896u) << "it may use them all, once the others are closed";
  (*one)->close();
  one->reset();
  EXPECT_TRUE(open_central({{"max_links", "400"}}, hears)) << "the links of a closed radio are free again";
}

TEST(tcp_limits, keeps_the_links_of_a_radio_free_for_it_when_it_opens_after_those_without_a_number) {
  const open_files most{1024};
  const auto network = fresh_network();
  std::vector<listener> hear(3);
  std::vector<std::uint16_t> ports;
  std::vector<std::unique_ptr<transport>> radios;
  for (std::size_t i = 0; i < 3; ++i) {
    ports.push_back(free_port(SOCK_STREAM));
    params p{{"listen", "127.0.0.1:" + std::to_string(ports[i])}, {"network", network}};
    if (i == 2) p["max_links"] = "880";
    auto radio = open_central(p, hear[i]);
    ASSERT_TRUE(radio && (*radio)->scan(true));
    radios.push_back(std::move(*radio));
  }
  std::vector<descriptor> held;
  const auto dial = [&](std::size_t radio, int count) {
    for (int i = 0; i < count; ++i) held.push_back(link_to(ports[radio], network));
  };
  dial(0, 10);
  ASSERT_TRUE(hear[0].wait_for_links(10));
  dial(1, 6);
  ASSERT_TRUE(hear[1].wait_for_links(6));
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(closed_by_peer(link_to(ports[i], network))) << "880 of 896 are kept for the third radio";
  dial(2, 20);
  EXPECT_TRUE(hear[2].wait_for_links(20));
  radios[2]->close();
  radios[2].reset();
  dial(0, 20);
  EXPECT_TRUE(hear[0].wait_for_links(30)) << "the links of a closed radio are free again";
  for (const auto& r : radios)
    if (r) r->close();
}

TEST(tcp_limits, keeps_no_buffer_for_an_idle_link) {
  constexpr std::size_t links = 400;
  const auto port = free_port(SOCK_STREAM);
  const auto network = fresh_network();
  listener hears;
  auto gateway = open_central({{"listen", "127.0.0.1:" + std::to_string(port)}, {"network", network}}, hears);
  ASSERT_TRUE(gateway && (*gateway)->scan(true));
  std::vector<descriptor> held;
  held.reserve(links + 1);
  held.push_back(link_to(port, network));
  ASSERT_TRUE(hears.wait_for_links(1));
  const auto before = ::mallinfo2().uordblks;
  for (std::size_t i = 0; i < links; ++i) held.push_back(link_to(port, network));
  ASSERT_TRUE(hears.wait_for_links(links + 1));
  // A frame in each direction must leave nothing behind.
  for (const auto& d : held)
    ASSERT_EQ(::send(d.get(), std::string_view{"\0\0\0\3\0\x80x", 7}.data(), 7, MSG_NOSIGNAL), 7);
  ASSERT_TRUE(hears.wait([](const auto& all) {
    return std::all_of(all.begin(), all.end(), [](const auto& l) { return l.second.messages.size() == 1; });
  }));
  const bytes answer(512, 1);
  for (const auto id : hears.up()) ASSERT_TRUE((*gateway)->send(id, answer));
  for (const auto& d : held) {
    char got[512 + 6];
    ASSERT_EQ(::recv(d.get(), got, sizeof got, MSG_WAITALL), static_cast<ssize_t>(sizeof got));
  }
  // The radio learns a moment later that the kernel has taken a frame. About 300 bytes are those of this listener; the
  // allocator of a sanitizer reports 0.
  std::size_t each = 0;
  pollfd nothing{-1, 0, 0};
  for (int i = 0; i < 2000 && (each = (::mallinfo2().uordblks - before) / links) >= 1400; ++i)
    ::poll(&nothing, 1, 10);
  EXPECT_LT(each, 1400u);
  (*gateway)->close();
}

TEST(tcp_limits, closes_and_counts_a_flood_above_the_limit) {
  const auto port = free_port(SOCK_STREAM);
  const auto network = fresh_network();
  listener hears;
  auto gateway = open_central(
      {{"listen", "127.0.0.1:" + std::to_string(port)}, {"network", network}, {"max_links", "3"}}, hears);
  ASSERT_TRUE(gateway && (*gateway)->scan(true));
  std::vector<descriptor> held;
  for (int i = 0; i < 3; ++i) held.push_back(link_to(port, network));
  ASSERT_TRUE(hears.wait_for_links(3));
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(closed_by_peer(link_to(port, network)));
  EXPECT_EQ(counter(**gateway, "radio_strangers_over_limit"), 500u);
  EXPECT_EQ(hears.up().size(), 3u);
  (*gateway)->close();
}

TEST(tcp_limits, waits_while_the_process_has_no_descriptor_left) {
  const auto port = free_port(SOCK_STREAM);
  const auto network = fresh_network();
  listener hears;
  auto gateway = open_central({{"listen", "127.0.0.1:" + std::to_string(port)}, {"network", network}}, hears);
  ASSERT_TRUE(gateway && (*gateway)->scan(true));
  descriptor late{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::vector<descriptor> fillers;
  const open_files few{256};
  for (;;) {
    descriptor d{::dup(late.get())};
    if (!d.valid()) break;
    fillers.push_back(std::move(d));
  }
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(late.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  const auto used = cpu_seconds();
  pollfd nothing{-1, 0, 0};
  ::poll(&nothing, 1, 1000);
  EXPECT_LT(cpu_seconds() - used, 0.5) << "it must not try again without pause";
  fillers.clear();
  const auto hello = std::string{"\0\0\0", 3} + static_cast<char>(11 + network.size()) +
                     std::string{"cpns-tcp/1\0", 11} + network;
  ASSERT_EQ(::send(late.get(), hello.data(), hello.size(), MSG_NOSIGNAL), static_cast<ssize_t>(hello.size()));
  EXPECT_TRUE(hears.wait_for_links(1));
  (*gateway)->close();
}

}  // namespace
}  // namespace cpns::plugins
