#pragma once
// Beacons, by which PNEs find their gateway on a local network: UDP datagrams, see settings.hpp.

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "plugins/sdk/seldom.hpp"
#include "transports/tcp/connection.hpp"
#include "transports/tcp/names.hpp"

namespace cpns::tcp {

/// Sends the gateway's TCP port to the addresses of `announce` periodically. Runs in the instance's thread.
class beacon_sender {
 public:
  beacon_sender(asio::io_context& io, const settings& s, sdk::host out, counters& n);
  /// Sends beacons less often, from the next one on.
  void save_power(bool on) { saving_ = on; }
  void start(std::uint16_t port);
  void stop();

 private:
  void send_all();
  void send_to(const asio::ip::udp::endpoint& to);
  void open(asio::ip::udp::socket& socket, const asio::ip::udp& as, boost::system::error_code& wrong);
  /// Logs at most one line per minute.
  void warn(const std::string& text);
  const settings& settings_;
  sdk::host out_;
  name_book names_;
  asio::ip::udp::socket v4_, v6_;  ///< opened on demand
  asio::steady_timer timer_;
  std::string datagram_;
  counters& counters_;
  sdk::seldom warned_;
  bool running_ = false, saving_ = false;
};

/// Receives beacons of its network on a port that many processes may share. Runs in the instance's thread.
class beacon_listener {
 public:
  /// `gateway`: where it claims to accept connections; anybody can send such a datagram.
  using heard_fn = std::function<void(const asio::ip::tcp::endpoint& gateway)>;
  /// Throws sdk::unavailable if the port cannot be used.
  beacon_listener(asio::io_context& io, const settings& s, counters& n, heard_fn heard);
  void start();
  void stop();

 private:
  void listen(const asio::ip::udp::endpoint& at, boost::system::error_code& wrong);
  void take(std::string_view text);
  const settings& settings_;
  heard_fn heard_;
  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint from_;
  counters& counters_;
  std::array<char, 256> buffer_{};
};

}  // namespace cpns::tcp
