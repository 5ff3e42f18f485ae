#pragma once
// How a peer that vanished without a word (a power cut, a cable) is found: keepalives of TCP itself, which
// any peer's kernel answers, so the frames need none.

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>

namespace cpns::tcp {

/// From now on the connection ends with an error once the peer's kernel answered nothing for `dead_ms`, from
/// the first data or the first keepalive that it owes an answer for.
void watch_peer(boost::asio::ip::tcp::socket& socket, std::uint64_t dead_ms);

/// How long a keepalive that probe_peer() asked for may take until it is on its way.
inline constexpr std::chrono::milliseconds probe_takes{200};

/// Sends a keepalive at once: a peer that is there acknowledges it, one that was started again resets the
/// connection, and one that is away is given no less time than without it. False, and nothing is sent, while
/// the peer was heard within the last second. Call watch_peer() after `probe_takes`.
bool probe_peer(boost::asio::ip::tcp::socket& socket);

/// Whether this error is what watch_peer() promises.
bool is_dead_peer(const boost::system::error_code& e);

}  // namespace cpns::tcp
