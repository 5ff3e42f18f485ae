#include "transports/tcp/beacon.hpp"

#include <boost/asio/ip/address.hpp>

namespace cpns::tcp {

namespace {

constexpr unsigned rarer = 8;  // beacons, when power is saved

}  // namespace

beacon_sender::beacon_sender(asio::io_context& io, const settings& s, sdk::host out, counters& n)
    : settings_(s), out_(out), socket_(io), timer_(io), counters_(n) {}

void beacon_sender::start(std::uint16_t port) {
  if (settings_.announce.empty()) return;
  boost::system::error_code wrong;
  socket_.open(asio::ip::udp::v4(), wrong);
  if (wrong) return out_.log(CPNS_LOG_ERROR, "announcing needs a UDP socket: " + wrong.message());
  socket_.set_option(asio::socket_base::broadcast{true}, wrong);
  datagram_ = magic;
  datagram_ += static_cast<char>(port >> 8);
  datagram_ += static_cast<char>(port & 0xff);
  datagram_ += settings_.network;
  say();
}

void beacon_sender::say() {
  if (!socket_.is_open()) return;  // stopped while the timer's turn had come already
  for (const auto& [host, port] : settings_.announce) {
    boost::system::error_code wrong;
    const auto address = asio::ip::make_address(host, wrong);
    if (!wrong) socket_.send_to(asio::buffer(datagram_), {address, port}, 0, wrong);
    if (!wrong) ++counters_.beacons;
    if (wrong && !complained_) {
      complained_ = true;
      out_.log(CPNS_LOG_WARN, "announcing to " + host + ":" + std::to_string(port) + ": " + wrong.message());
    }
  }
  timer_.expires_after(std::chrono::milliseconds(settings_.announce_ms * (saving_ ? rarer : 1)));
  timer_.async_wait([this](const boost::system::error_code& wrong) {
    if (!wrong) say();
  });
}

void beacon_sender::stop() {
  boost::system::error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
}

beacon_listener::beacon_listener(asio::io_context& io, const settings& s, heard_fn heard)
    : settings_(s), heard_(std::move(heard)), socket_(io) {
  boost::system::error_code wrong;
  socket_.open(asio::ip::udp::v4(), wrong);
  // Several processes of one machine hear the same broadcast.
  socket_.set_option(asio::socket_base::reuse_address{true}, wrong);
  socket_.bind({asio::ip::address_v4::any(), settings_.discover}, wrong);
  if (wrong)
    throw sdk::unavailable{"listening for beacons on UDP port " + std::to_string(settings_.discover) + ": " +
                           wrong.message()};
}

void beacon_listener::start() {
  socket_.async_receive_from(
      asio::buffer(buffer_), from_, [this](const boost::system::error_code& wrong, std::size_t n) {
        if (wrong == asio::error::operation_aborted || !socket_.is_open()) return;
        const std::string_view text{buffer_.data(), n};
        if (!wrong && text.size() > magic.size() + 2 && text.substr(0, magic.size()) == magic &&
            text.substr(magic.size() + 2) == settings_.network) {
          const auto* p = reinterpret_cast<const std::uint8_t*>(text.data()) + magic.size();
          heard_({from_.address().to_string(), static_cast<std::uint16_t>(p[0] << 8 | p[1])});
        }
        start();
      });
}

void beacon_listener::stop() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace cpns::tcp
