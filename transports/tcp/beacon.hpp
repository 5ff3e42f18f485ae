#pragma once
// How gateway and PNEs on a local network find each other: UDP datagrams, see settings.hpp.

#include <array>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>

#include "transports/tcp/connection.hpp"

namespace cpns::tcp {

/// Says `port` to the addresses of `announce` again and again. Runs in the instance's thread.
class beacon_sender {
 public:
  beacon_sender(asio::io_context& io, const settings& s, sdk::host out, counters& n);
  /// Announces less often from the next time on.
  void save_power(bool on) { saving_ = on; }
  void start(std::uint16_t port);
  void stop();

 private:
  void say();
  const settings& settings_;
  sdk::host out_;
  asio::ip::udp::socket socket_;
  asio::steady_timer timer_;
  std::string datagram_;
  counters& counters_;
  bool complained_ = false, saving_ = false;
};

/// Hears beacons of its network on a port that many processes may share. Runs in the instance's thread.
class beacon_listener {
 public:
  using heard_fn = std::function<void(const host_port& gateway)>;
  /// Throws sdk::unavailable if the port cannot be used.
  beacon_listener(asio::io_context& io, const settings& s, heard_fn heard);
  void start();
  void stop();

 private:
  const settings& settings_;
  heard_fn heard_;
  asio::ip::udp::socket socket_;
  asio::ip::udp::endpoint from_;
  std::array<char, 256> buffer_{};
};

}  // namespace cpns::tcp
