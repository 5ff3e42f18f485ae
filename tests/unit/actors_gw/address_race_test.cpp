// Connection attempts to several addresses, against real sockets: one that refuses, one that drops all packets.
#include "actors/pn_gw/address_race.hpp"

#include <gtest/gtest.h>

namespace cpns::uplink_tests {
namespace {

using actors::address_race;
using actors::in_turn;
using boost::asio::ip::tcp;

tcp::endpoint at(const char* address, std::uint16_t port) {
  return {boost::asio::ip::make_address(address), port};
}

/// Accepts connections.
struct open_port {
  boost::asio::io_context io;
  tcp::acceptor acceptor{io, at("127.0.0.1", 0)};
  [[nodiscard]] tcp::endpoint where() const { return acceptor.local_endpoint(); }
};

/// Its accept queue is full, so that the kernel drops further packets, as for a dead host.
struct deaf_port {
  boost::asio::io_context io;
  tcp::acceptor acceptor{io};
  std::vector<tcp::socket> fill;
  deaf_port() {
    acceptor.open(tcp::v4());
    acceptor.bind(at("127.0.0.1", 0));
    acceptor.listen(0);
    for (int i = 0; i < 4; ++i) {
      fill.emplace_back(io, tcp::v4());
      fill.back().async_connect(where(), [](const auto&) {});  // started, never awaited
    }
  }
  [[nodiscard]] tcp::endpoint where() const { return acceptor.local_endpoint(); }
};

tcp::endpoint closed_port() {
  open_port gone;
  return gone.where();
}

struct outcome {
  boost::system::error_code wrong;
  std::size_t place = 99;
  bool connected = false;
};

outcome race(std::vector<tcp::endpoint> addresses) {
  boost::asio::io_context io;
  std::optional<outcome> out;
  const auto r = address_race::start(io, std::move(addresses), milliseconds{20},
                                     [&out](const auto& wrong, tcp::socket s, std::size_t place) {
                                       EXPECT_FALSE(out.has_value()) << "called twice";
                                       out = outcome{wrong, place, s.is_open()};
                                     });
  io.run_for(seconds{10});
  EXPECT_TRUE(out.has_value());
  return out.value_or(outcome{});
}

TEST(address_race, tries_the_next_address_when_one_does_not_answer) {
  deaf_port dead;
  open_port good;
  const auto o = race({dead.where(), good.where()});
  EXPECT_FALSE(o.wrong) << o.wrong.message();
  EXPECT_EQ(o.place, 1u);
  EXPECT_TRUE(o.connected);
}

TEST(address_race, tries_the_next_address_at_once_when_one_refuses) {
  open_port good;
  EXPECT_EQ(race({closed_port(), closed_port(), good.where()}).place, 2u);
}

TEST(address_race, takes_the_first_address_when_it_answers) {
  open_port good, other;
  EXPECT_EQ(race({good.where(), other.where()}).place, 0u);
}

TEST(address_race, reports_the_last_error_when_all_addresses_refuse) {
  const auto o = race({closed_port(), closed_port()});
  EXPECT_EQ(o.wrong, boost::asio::error::connection_refused);
}

TEST(address_race, does_not_call_back_after_cancel) {
  deaf_port dead;
  boost::asio::io_context io;
  const auto r = address_race::start(io, {dead.where(), dead.where()}, milliseconds{1},
                                     [](const auto&, tcp::socket, std::size_t) { FAIL(); });
  r->cancel();
  io.run_for(seconds{10});
  EXPECT_TRUE(io.stopped()) << "no operation is pending";
}

TEST(address_race, alternates_the_families_and_rotates_the_order) {
  const auto a = at("2001:db8::1", 1), b = at("2001:db8::2", 1), c = at("192.0.2.1", 1),
             d = at("192.0.2.2", 1);
  EXPECT_EQ(in_turn({a, b, c, d}, 0), (std::vector{a, c, b, d}));
  EXPECT_EQ(in_turn({a, b, c, d}, 1), (std::vector{c, b, d, a}));
  EXPECT_EQ(in_turn({c, a, b}, 4), (std::vector{a, b, c}));
  EXPECT_TRUE(in_turn({}, 3).empty());
}

}  // namespace
}  // namespace cpns::uplink_tests
