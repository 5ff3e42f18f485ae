#include "transports/tcp/liveness.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>

namespace cpns::tcp {
namespace {

// Failures are left aside: the socket is gone, and its reader hears so.
void set(int fd, int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); }

}  // namespace

void watch_peer(boost::asio::ip::tcp::socket& socket, std::uint64_t dead_ms) {
  const int fd = socket.native_handle();
  const auto seconds = static_cast<int>(dead_ms / 1000);
  // Half of the time is silence, in the other half about three keepalives can be lost.
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 2));
  set(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 6));
  set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(dead_ms));
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

bool probe_peer(boost::asio::ip::tcp::socket& socket) {
  constexpr std::uint32_t lately_ms = 1000;  // the least that TCP_KEEPIDLE can say
  const int fd = socket.native_handle();
  tcp_info now{};
  socklen_t size = sizeof now;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &now, &size) != 0) return false;
  if (std::min(now.tcpi_last_data_recv, now.tcpi_last_ack_recv) <= lately_ms) return false;
  // The kernel counts the idle time from when it heard the peer, so this keepalive is due already.
  set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  return true;
}

bool is_dead_peer(const boost::system::error_code& e) {
  return e == boost::asio::error::timed_out || e == boost::asio::error::host_unreachable ||
         e == boost::asio::error::network_unreachable;
}

}  // namespace cpns::tcp
