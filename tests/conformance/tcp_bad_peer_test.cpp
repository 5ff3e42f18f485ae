// Hostile peers at the gateway's TCP port lose only their own connection.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "pair.hpp"

namespace cpns::plugins {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// A file descriptor that closes itself.
class descriptor {
 public:
  explicit descriptor(int fd = -1) : fd_(fd) {}
  descriptor(descriptor&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  descriptor& operator=(descriptor&& o) noexcept {
    std::swap(fd_, o.fd_);
    return *this;
  }
  ~descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

/// A gateway, and its port from its beacon.
class tcp_gateway : public testing::Test {
 protected:
  void start(params p) {
    descriptor ear{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ASSERT_EQ(::bind(ear.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    ASSERT_EQ(::getsockname(ear.get(), reinterpret_cast<sockaddr*>(&at), &size), 0);
    p.emplace("network", network);
    p["announce"] = "127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    p["announce_ms"] = "50";
    gateway = open("tcp", transport_role::central, p, hears);
    ASSERT_TRUE(gateway && gateway->scan(true));
    pollfd waiting{ear.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&waiting, 1, 20'000), 1);
    std::string beacon(256, '\0');
    const auto n = ::recv(ear.get(), beacon.data(), beacon.size(), 0);
    ASSERT_GT(n, 0);
    beacon.resize(static_cast<std::size_t>(n));
    ASSERT_EQ(beacon.size(), magic.size() + 2 + network.size());
    EXPECT_EQ(beacon.substr(0, magic.size()), magic);
    EXPECT_EQ(beacon.substr(magic.size() + 2), network);
    port = static_cast<std::uint16_t>(static_cast<std::uint8_t>(beacon[magic.size()]) << 8 |
                                      static_cast<std::uint8_t>(beacon[magic.size() + 1]));
  }
  void TearDown() override {
    if (gateway) gateway->close();
    EXPECT_EQ(hears.broken(), "");
  }

  [[nodiscard]] descriptor dial() const {
    descriptor d{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(d.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0) << std::strerror(errno);
    return d;
  }
  static bool say(const descriptor& d, const std::string& text) {
    return ::send(d.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  static std::string frame(const std::string& body) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(body.size() >> shift);
    return out + body;
  }
  [[nodiscard]] std::string hello() const { return frame(magic + network); }
  /// Whether the gateway ends the connection within twenty seconds.
  static bool ended(const descriptor& d) {
    const auto deadline = clock::now() + 20s;
    while (clock::now() < deadline) {
      pollfd waiting{d.get(), POLLIN, 0};
      if (::poll(&waiting, 1, 1000) != 1) continue;
      char buffer[256];
      if (::recv(d.get(), buffer, sizeof buffer, 0) <= 0) return true;
    }
    return false;
  }
  /// A connection that is a link.
  descriptor link() {
    const auto before = hears.up().size();
    auto d = dial();
    EXPECT_TRUE(say(d, hello()));
    EXPECT_TRUE(hears.wait_for_links(before + 1));
    return d;
  }
  /// Waits until the counter reaches `value`; false if it does not, or exceeds it.
  bool counts(const std::string& name, std::uint64_t value) {
    std::uint64_t now = 0;
    for (const auto deadline = clock::now() + 20s; now < value && clock::now() < deadline;) {
      for (const auto& c : gateway->counters())
        if (c.name == name) now = c.value;
      pollfd nothing{-1, 0, 0};
      if (now < value) ::poll(&nothing, 1, 5);
    }
    return now == value;
  }
  void expect_alive() {
    const auto before = hears.up();
    const auto d = link();
    const auto now = hears.up();
    ASSERT_EQ(now.size(), before.size() + 1);
    ASSERT_TRUE(say(d, frame(std::string("\0\x80", 2) + "hi")));
    EXPECT_TRUE(hears.wait([&](const auto& links) {
      return links.at(now.back()).messages == std::vector<bytes>{{'h', 'i'}};
    }));
  }

  const std::string magic{"cpns-tcp/1\0", 11};
  const std::string network = fresh_network();
  std::uint16_t port = 0;
  listener hears;
  std::unique_ptr<transport> gateway;
};

TEST_F(tcp_gateway, closes_a_link_at_once_when_a_header_announces_4_gib) {
  start({{"frame_ms", "600000"}});
  const auto d = link();
  const auto id = hears.up().front();
  ASSERT_TRUE(say(d, std::string(4, '\xff')));
  EXPECT_TRUE(ended(d));
  EXPECT_TRUE(hears.wait_for_links(0));
  EXPECT_NE(hears.reason(id).find("a frame of 4294967295 bytes; 1 to 1026 are allowed"), std::string::npos)
      << hears.reason(id);
  expect_alive();
}

TEST_F(tcp_gateway, closes_a_link_when_a_frame_is_empty_or_over_the_mtu) {
  start({{"mtu", "100"}});
  for (const std::size_t size : {std::size_t{0}, std::size_t{101}}) {
    const auto d = link();
    ASSERT_TRUE(say(d, frame(std::string(size, 'x'))));
    EXPECT_TRUE(ended(d)) << size;
    EXPECT_TRUE(hears.wait_for_links(0));
  }
  EXPECT_TRUE(counts("links_bad_frame", 2));
  expect_alive();
}

TEST_F(tcp_gateway, closes_a_link_when_a_peer_sends_a_frame_byte_by_byte) {
  start({{"frame_ms", "300"}});
  const auto d = link();
  const auto id = hears.up().front();
  std::atomic<bool> on{true};
  // Each byte arrives within frame_ms of the previous one, but the whole frame does not.
  std::thread slow{[&] {
    const auto bytes_of_it = frame(std::string(200, 'x'));
    for (const char c : bytes_of_it) {
      pollfd nothing{-1, 0, 0};
      if (!on || !say(d, {c})) return;
      ::poll(&nothing, 1, 40);
    }
  }};
  EXPECT_TRUE(hears.wait_for_links(0));
  on = false;
  slow.join();
  EXPECT_NE(hears.reason(id).find("too slow"), std::string::npos) << hears.reason(id);
  EXPECT_TRUE(counts("links_too_slow", 1));
  expect_alive();
}

TEST_F(tcp_gateway, keeps_a_silent_link) {
  start({{"frame_ms", "10"}, {"handshake_ms", "2000"}});
  const auto d = link();
  // Two strangers time out one after the other; the silent link outlives both.
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(ended(dial()));
  EXPECT_EQ(hears.up().size(), 1u);
  ASSERT_TRUE(say(d, frame(std::string("\0\x80x", 3))));
  EXPECT_TRUE(hears.wait([](const auto& links) { return links.begin()->second.messages.size() == 1; }));
}

TEST_F(tcp_gateway, refuses_connections_without_a_valid_hello) {
  start({{"handshake_ms", "300"}});
  const std::string hellos[] = {"",
                                "GET / HTTP/1.1\r\n\r\n",
                                std::string(4, '\0'),
                                frame("cpns-tcp/2" + std::string(1, '\0') + network),
                                frame(magic + network + "x"),
                                frame(magic + "another network"),
                                frame(magic),
                                hello().substr(0, 9)};
  for (const auto& text : hellos) {
    const auto d = dial();
    say(d, text);
    EXPECT_TRUE(ended(d)) << to_hex(as_bytes(text));
  }
  { const auto brief = dial(); }
  EXPECT_TRUE(counts("radio_strangers_silent", 1));
  EXPECT_TRUE(counts("radio_strangers_too_slow", 2));
  EXPECT_TRUE(counts("radio_strangers_oversized", 2));
  EXPECT_TRUE(counts("radio_strangers_bad_hello", 1));
  EXPECT_TRUE(counts("radio_strangers_other_network", 3));
  EXPECT_EQ(hears.calls(), 0u);
  expect_alive();
}

TEST_F(tcp_gateway, refuses_connections_of_random_bytes) {
  start({{"handshake_ms", "300"}});
  std::uint32_t dice = 1;
  for (int i = 0; i < 100; ++i) {
    std::string noise;
    for (int n = 0; n < 1 + i * 7; ++n)
      noise += static_cast<char>((dice = dice * 1664525 + 1013904223) >> 24);
    const auto d = dial();
    say(d, noise);
  }
  expect_alive();
  EXPECT_TRUE(hears.wait([](const auto& links) { return links.size() == 1; }));
}

TEST_F(tcp_gateway, closes_connections_above_max_links) {
  start({{"max_links", "3"}});
  std::vector<descriptor> links;
  for (int i = 0; i < 3; ++i) links.push_back(link());
  EXPECT_TRUE(ended(dial()));
  EXPECT_TRUE(counts("radio_strangers_over_limit", 1));
  links.clear();
  EXPECT_TRUE(hears.wait_for_links(0));
  expect_alive();
}

TEST_F(tcp_gateway, reserves_descriptors_for_the_rest_of_the_process) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  start({});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);  // for this end of the links
  std::vector<descriptor> links;
  for (int i = 0; i < 32; ++i) links.push_back(link());
  EXPECT_TRUE(ended(dial())) << "half of the descriptors are left";
  links.clear();
  EXPECT_TRUE(hears.wait_for_links(0));
  expect_alive();
}

TEST_F(tcp_gateway, accepts_again_after_it_ran_out_of_file_descriptors) {
  start({});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<descriptor> linked;
  for (int i = 0; i < 5; ++i) linked.push_back(dial());
  for (auto& d : linked) ASSERT_TRUE(say(d, hello()));
  ASSERT_TRUE(hears.wait_for_links(5));
  // From here on no new descriptor is available; those of this side are opened before.
  std::vector<descriptor> late;
  for (int i = 0; i < 5; ++i) late.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<descriptor> fillers;
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  for (;;) {
    descriptor d{::dup(late.front().get())};
    if (d.get() < 0) break;
    fillers.push_back(std::move(d));
  }
  EXPECT_EQ(errno, EMFILE);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (auto& d : late) {
    ASSERT_EQ(::connect(d.get(), reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
    ASSERT_TRUE(say(d, hello()));
  }
  // Links that are up work meanwhile.
  ASSERT_TRUE(say(linked.front(), frame(std::string("\0\x80x", 3))));
  EXPECT_TRUE(hears.wait([](const auto& links) {
    std::size_t n = 0;
    for (const auto& [id, l] : links) n += l.messages.size();
    return n == 1;
  }));
  EXPECT_EQ(hears.up().size(), 5u) << "no connection can be accepted yet";
  fillers.clear();
  EXPECT_TRUE(hears.wait_for_links(10));
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  expect_alive();
}

TEST_F(tcp_gateway, is_found_at_a_configured_address_by_pnes_that_back_off_when_refused) {
  start({});
  listener pne_hears;
  auto pne = open("tcp", transport_role::peripheral,
                  {{"connect", "127.0.0.1:" + std::to_string(port)}, {"network", network}}, pne_hears);
  ASSERT_TRUE(pne && pne->add_endpoint(1, "one"));
  EXPECT_TRUE(pne_hears.wait_for_links(1));
  EXPECT_TRUE(hears.wait_for_links(1));
  pne->close();
  EXPECT_TRUE(hears.wait_for_links(0));
  // Another network: the gateway refuses its hello, and the PNE backs off.
  listener other_hears;
  auto other =
      open("tcp", transport_role::peripheral,
           {{"connect", "127.0.0.1:" + std::to_string(port)}, {"network", "other"}, {"retry_ms", "10"}},
           other_hears);
  ASSERT_TRUE(other && other->add_endpoint(1, "one"));
  const auto begun = clock::now();
  EXPECT_TRUE(other_hears.wait([](const auto& links) {
    std::size_t down = 0;
    for (const auto& [id, l] : links) down += l.up ? 0 : 1;
    return down == 7;
  }));
  EXPECT_GE(clock::now() - begun, 150ms)
      << "at least 5 + 10 + 20 + 40 + 80 + 160 ms, less the rounding of timers";
  other->close();
}

TEST(tcp_settings, refuse_a_network_name_that_does_not_fit_into_the_hello) {
  for (const auto as : {transport_role::central, transport_role::peripheral}) {
    listener hears;
    params p{{"mtu", "23"}, {"network", "twelve-bytes"}};
    if (as == transport_role::peripheral) p["connect"] = "127.0.0.1:9";
    EXPECT_TRUE(load_transport({"tcp", as, p, {}}, hears));
    p["network"] += "+";
    const auto refused = load_transport({"tcp", as, p, {}}, hears);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message().find("1 to 12 bytes"), std::string::npos)
        << refused.error().message();
  }
}

}  // namespace
}  // namespace cpns::plugins
