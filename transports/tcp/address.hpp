#pragma once
// Addresses of peers: parsing them from parameters, and formatting them.

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <string>

#include "plugins/sdk/parameters.hpp"

namespace cpns::tcp {

namespace asio = boost::asio;

/// One side of a connection, or the destination of a beacon. `host` is an IP address without brackets, or a name
/// for the system's resolver.
struct host_port {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const host_port&, const host_port&) = default;
};

/// The use of an address, which decides the allowed values.
enum class address_use : std::uint8_t {
  listen,    ///< an IP address of this machine; port 0: any free port
  connect,   ///< one peer, by address or name
  announce,  ///< the same, or all hosts of a network
};

/// "address:port", "[IPv6 address]:port" or "name:port". Throws sdk::bad_parameter for `parameter`.
host_port parse_host_port(const char* parameter, const std::string& text, address_use use);

/// Converts an IPv4-mapped IPv6 address (::ffff:192.0.2.1) to IPv4; other addresses stay.
asio::ip::address plain(const asio::ip::address& a);

/// "192.0.2.1:7000", "[2001:db8::1]:7000".
std::string text_of(const asio::ip::tcp::endpoint& at);
std::string text_of(const host_port& at);

}  // namespace cpns::tcp
