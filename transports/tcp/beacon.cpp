#include "transports/tcp/beacon.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>

namespace cpns::tcp {

namespace {

using asio::ip::udp;

constexpr unsigned saving_factor = 8;  // longer interval of beacons while power is saved

}  // namespace

beacon_sender::beacon_sender(asio::io_context& io, const settings& s, sdk::host out, counters& n)
    : settings_(s), out_(out), names_(io, [] {}), v4_(io), v6_(io), timer_(io), counters_(n) {}

void beacon_sender::start(std::uint16_t port) {
  if (settings_.announce.empty()) return;
  datagram_ = magic;
  datagram_ += static_cast<char>(port >> 8);
  datagram_ += static_cast<char>(port & 0xff);
  datagram_ += settings_.network;
  running_ = true;
  send_all();
}

void beacon_sender::send_all() {
  if (!running_) return;  // stopped after the timer had expired
  for (const auto& to : settings_.announce) {
    const auto addresses = names_.of(to.host);
    for (const auto& a : addresses) send_to({a, to.port});
    if (const auto why = names_.why_not(to.host); addresses.empty() && !why.empty())
      warn(text_of(to) + ": " + why);
  }
  timer_.expires_after(std::chrono::milliseconds(settings_.announce_ms * (saving_ ? saving_factor : 1)));
  timer_.async_wait([this](const boost::system::error_code& wrong) {
    if (!wrong) send_all();
  });
}

void beacon_sender::send_to(const udp::endpoint& to) {
  auto& socket = to.address().is_v4() ? v4_ : v6_;
  boost::system::error_code wrong;
  if (!socket.is_open()) open(socket, to.protocol(), wrong);
  if (!wrong) socket.send_to(asio::buffer(datagram_), to, 0, wrong);
  if (!wrong) {
    ++counters_.beacons;
    return;
  }
  warn(text_of(asio::ip::tcp::endpoint{to.address(), to.port()}) + ": " + wrong.message());
}

/// Binds to the address that accepts connections, because a PNE connects to the source address of a beacon.
void beacon_sender::open(udp::socket& socket, const udp& as, boost::system::error_code& wrong) {
  const auto own = asio::ip::make_address(settings_.listen.host);
  socket.open(as, wrong);
  if (!wrong && as == udp::v4()) socket.set_option(asio::socket_base::broadcast{true}, wrong);
  if (!wrong && !own.is_unspecified()) socket.bind({own, 0}, wrong);
  boost::system::error_code ignored;
  if (wrong) socket.close(ignored);
}

void beacon_sender::warn(const std::string& text) {
  if (warned_.due()) out_.log(CPNS_LOG_WARN, "cannot send beacons to " + text);
}

void beacon_sender::stop() {
  boost::system::error_code ignored;
  running_ = false;
  timer_.cancel();
  v4_.close(ignored);
  v6_.close(ignored);
}

beacon_listener::beacon_listener(asio::io_context& io, const settings& s, counters& n, heard_fn heard)
    : settings_(s), heard_(std::move(heard)), socket_(io), counters_(n) {
  boost::system::error_code wrong;
  // IPv6 and IPv4; only IPv4 where the system has no IPv6.
  listen({asio::ip::address_v6::any(), settings_.discover}, wrong);
  if (wrong == asio::error::address_family_not_supported || wrong == asio::error::no_protocol_option ||
      wrong == boost::system::errc::address_not_available)
    listen({asio::ip::address_v4::any(), settings_.discover}, wrong);
  if (wrong)
    throw sdk::unavailable{"cannot listen for beacons on UDP port " + std::to_string(settings_.discover) +
                           ": " + wrong.message()};
}

void beacon_listener::listen(const udp::endpoint& at, boost::system::error_code& wrong) {
  boost::system::error_code ignored;
  socket_.close(ignored);
  socket_.open(at.protocol(), wrong);
  if (!wrong && at.address().is_v6()) socket_.set_option(asio::ip::v6_only{false}, wrong);
  // Several processes of one machine receive the same broadcast.
  if (!wrong) socket_.set_option(asio::socket_base::reuse_address{true}, wrong);
  if (!wrong) socket_.bind(at, wrong);
}

void beacon_listener::start() {
  socket_.async_receive_from(asio::buffer(buffer_), from_,
                             [this](const boost::system::error_code& wrong, std::size_t n) {
                               if (wrong == asio::error::operation_aborted || !socket_.is_open()) return;
                               if (!wrong) take({buffer_.data(), n});
                               start();
                             });
}

void beacon_listener::take(std::string_view text) {
  const auto head = magic.size() + 2;
  if (text.size() <= head || text.substr(0, magic.size()) != magic) {
    ++counters_.beacons_malformed;
    return;
  }
  const auto* p = reinterpret_cast<const std::uint8_t*>(text.data()) + magic.size();
  const auto port = static_cast<std::uint16_t>(p[0] << 8 | p[1]);
  if (text.substr(head) != settings_.network) {
    ++counters_.beacons_other_network;
    return;
  }
  if (port == 0) {
    ++counters_.beacons_malformed;
    return;
  }
  ++counters_.beacons_heard;
  heard_({plain(from_.address()), port});
}

void beacon_listener::stop() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace cpns::tcp
