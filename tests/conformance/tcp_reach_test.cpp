// How PNEs over tcp find their gateway: names, IPv6, addresses that do not answer, and beacons, which anybody can
// send.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "base/sockets.hpp"
#include "pair.hpp"

namespace cpns::plugins {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

/// A socket bound to a free port.
class bound_socket {
 public:
  explicit bound_socket(int type) : fd_(::socket(AF_INET, type | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&at), size), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size), 0);
    port_ = ntohs(at.sin_port);
  }
  bound_socket(const bound_socket&) = delete;
  bound_socket& operator=(const bound_socket&) = delete;
  ~bound_socket() { ::close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

std::uint64_t counter(const transport& t, const std::string& name) {
  for (const auto& c : t.counters())
    if (c.name == name) return c.value;
  ADD_FAILURE() << "no counter " << name;
  return 0;
}

class tcp_reach : public testing::Test {
 protected:
  void gateway_with(params p) {
    p.emplace("network", network);
    p.emplace("announce_ms", "50");
    gateway = open("tcp", transport_role::central, p, gateway_hears);
    ASSERT_TRUE(gateway && gateway->scan(true));
  }
  void pne_with(params p) {
    p.emplace("network", network);
    p.emplace("retry_ms", "20");
    pne = open("tcp", transport_role::peripheral, p, pne_hears);
    ASSERT_TRUE(pne && pne->add_endpoint(1, "one"));
  }
  void TearDown() override {
    if (pne) pne->close();
    if (gateway) gateway->close();
    EXPECT_EQ(gateway_hears.broken(), "");
    EXPECT_EQ(pne_hears.broken(), "");
  }
  /// The gateway's address of the PNE's link.
  std::string address_of_link() {
    EXPECT_TRUE(gateway_hears.wait_for_links(1));
    EXPECT_TRUE(pne_hears.wait_for_links(1));
    std::string out;
    pne_hears.wait([&](const auto& links) {
      for (const auto& [id, l] : links) out = l.address;
      return true;
    });
    return out;
  }

  const std::string network = fresh_network();
  listener gateway_hears, pne_hears;
  std::unique_ptr<transport> gateway, pne;
};

TEST_F(tcp_reach, connects_to_a_gateway_by_name) {
  const auto port = std::to_string(free_port(SOCK_STREAM));
  gateway_with({{"listen", "127.0.0.1:" + port}});
  // The name may resolve to ::1 first, where no process listens.
  pne_with({{"connect", "localhost:" + port}});
  EXPECT_EQ(address_of_link(), "tcp:127.0.0.1:" + port);
}

TEST_F(tcp_reach, sends_beacons_to_names) {
  const auto udp = std::to_string(free_port(SOCK_DGRAM));
  gateway_with({{"announce", "localhost:" + udp}});
  pne_with({{"discover", udp}});
  EXPECT_TRUE(pne_hears.wait_for_links(1));
}

TEST_F(tcp_reach, connects_to_other_addresses_when_a_name_is_unknown) {
  const auto port = std::to_string(free_port(SOCK_STREAM));
  gateway_with({{"listen", "127.0.0.1:" + port}, {"announce", "no_such_host.invalid:7000"}});
  pne_with({{"connect", "no_such_host.invalid:7000, 127.0.0.1:" + port}});
  EXPECT_TRUE(pne_hears.wait_for_links(1));
}

TEST_F(tcp_reach, finds_a_gateway_by_beacons_over_ipv6) {
  const auto udp = std::to_string(free_port(SOCK_DGRAM));
  gateway_with({{"listen", "[::1]:0"}, {"announce", "[::1]:" + udp}});
  pne_with({{"discover", udp}});
  EXPECT_EQ(address_of_link().substr(0, 10), "tcp:[::1]:");
}

TEST_F(tcp_reach, accepts_ipv4_and_ipv6_at_one_gateway) {
  const auto udp = std::to_string(free_port(SOCK_DGRAM));
  gateway_with({{"listen", "[::]:0"}, {"announce", "127.0.0.1:" + udp + ", [::1]:" + udp}});
  pne_with({{"discover", udp}});
  const auto first = address_of_link().substr(0, 10);
  EXPECT_TRUE(first == "tcp:127.0." || first == "tcp:[::1]:") << first;
  // A peer over IPv4 has its IPv4 address, not the mapped IPv6 one.
  EXPECT_TRUE(gateway_hears.wait([&](const auto& links) {
    return std::all_of(links.begin(), links.end(), [](const auto& l) {
      return l.second.address.starts_with("tcp:127.0.0.1:") || l.second.address.starts_with("tcp:[::1]:");
    });
  }));
}

TEST_F(tcp_reach, tries_the_next_address_after_connect_ms_when_one_does_not_answer) {
  // The queue of unaccepted connections is full, so the kernel does not answer further ones.
  const bound_socket dead{SOCK_STREAM};
  ASSERT_EQ(::listen(dead.fd(), 0), 0);
  std::vector<std::unique_ptr<bound_socket>> fill;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons(dead.port());
  for (int i = 0; i < 4; ++i) {
    fill.push_back(std::make_unique<bound_socket>(SOCK_STREAM | SOCK_NONBLOCK));
    ::connect(fill.back()->fd(), reinterpret_cast<sockaddr*>(&at), sizeof at);
  }
  const auto port = std::to_string(free_port(SOCK_STREAM));
  gateway_with({{"listen", "127.0.0.1:" + port}});
  pne_with({{"connect", dead.address() + ", 127.0.0.1:" + port}, {"connect_ms", "200"}});
  EXPECT_TRUE(pne_hears.wait_for_links(1));
  EXPECT_EQ(counter(*pne, "radio_connects_failed"), 1u);
}

/// A listening socket in place of a gateway, so that only its kernel answers, and beacons sent in its name.
class tcp_beacon : public tcp_reach {
 protected:
  void SetUp() override {
    ASSERT_EQ(::listen(door.fd(), 4), 0);
    pne_with({{"connect", door.address()}, {"discover", std::to_string(ear)}});
    ASSERT_TRUE(pne_hears.wait_for_links(1));
    up = pne_hears.up().front();
  }
  void send(const std::string& datagram) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(ear);
    ASSERT_EQ(::sendto(mouth.fd(), datagram.data(), datagram.size(), 0, reinterpret_cast<sockaddr*>(&at),
                       sizeof at),
              static_cast<ssize_t>(datagram.size()));
  }
  [[nodiscard]] std::string beacon(const std::string& of, std::uint16_t port) const {
    return magic + static_cast<char>(port >> 8) + static_cast<char>(port & 0xff) + of;
  }
  /// Sends it repeatedly until the counter `name` reaches `value`.
  bool send_until(const std::string& datagram, const std::string& name, std::uint64_t value) {
    const auto deadline = clock::now() + 20s;
    while (counter(*pne, name) < value) {
      if (clock::now() > deadline) return false;
      send(datagram);
      pollfd nothing{-1, 0, 0};
      ::poll(&nothing, 1, 20);
    }
    return true;
  }

  const std::string magic{"cpns-tcp/1\0", 11};
  const bound_socket door{SOCK_STREAM}, mouth{SOCK_DGRAM};
  const std::uint16_t ear = free_port(SOCK_DGRAM);
  link_id up = 0;
};

TEST_F(tcp_beacon, probes_an_existing_link_and_does_not_close_it) {
  const auto real = beacon(network, door.port());
  ASSERT_TRUE(send_until(real, "radio_probes", 1));
  const auto heard = counter(*pne, "radio_beacons_heard");
  ASSERT_TRUE(send_until(real, "radio_beacons_heard", heard + 100));
  EXPECT_EQ(counter(*pne, "radio_probes"), 1u) << "at most one in ten seconds";
  EXPECT_EQ(counter(*pne, "radio_links_dead"), 0u);
  EXPECT_EQ(pne_hears.up(), std::vector<link_id>{up});
  EXPECT_EQ(pne_hears.calls(), 1u) << "only the link_up";
}

TEST_F(tcp_beacon, is_counted_and_ignored_when_it_is_malformed_or_of_another_network) {
  ASSERT_TRUE(send_until(beacon("another", door.port()), "radio_beacons_other_network", 1));
  std::uint64_t malformed = 0;
  for (const auto& junk : {std::string{"x"}, magic, magic + "\x01", beacon("", 7000), beacon(network, 0),
                           std::string(2000, 'x')})
    ASSERT_TRUE(send_until(junk, "radio_beacons_malformed", ++malformed)) << junk.substr(0, 20);
  EXPECT_EQ(counter(*pne, "radio_beacons_heard"), 0u);
  EXPECT_EQ(counter(*pne, "radio_probes"), 0u);
  EXPECT_EQ(pne_hears.calls(), 1u);
}

}  // namespace
}  // namespace cpns::plugins
