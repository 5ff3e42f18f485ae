#include "transports/tcp/address.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace cpns::tcp {
namespace {

sdk::bad_parameter wrong(const char* parameter, const std::string& why) { return {parameter, why}; }

/// A resolver would accept such text as a number and misread it (10.1 is 10.0.0.1).
bool looks_numeric(const std::string& host) {
  return host.find_first_not_of("0123456789.") == std::string::npos;
}

bool could_be_a_name(const std::string& host) {
  return !host.empty() && host.size() <= 253 && std::all_of(host.begin(), host.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '/' && c != '@' && c != '[' && c != ']' && c != ',';
  });
}

/// A PNE joins no multicast group, so it receives only the one that every IPv6 host is a member of; IPv4 has
/// broadcasts.
bool is_received_by_all_hosts(const asio::ip::address& a) {
  if (a.is_v4()) return false;
  auto all = asio::ip::make_address_v6("ff02::1");
  all.scope_id(a.to_v6().scope_id());
  return a.to_v6() == all;
}

void check_address(const char* parameter, const asio::ip::address& a, address_use use) {
  const auto text = a.to_string();
  if (a.is_unspecified() && use != address_use::listen)
    throw wrong(parameter, "'" + text + "' is not the address of a peer");
  if (a.is_multicast() && (use != address_use::announce || !is_received_by_all_hosts(a)))
    throw wrong(parameter, "'" + text + "' is a multicast group" +
                               (use == address_use::announce
                                    ? ", and PNEs join none; use the broadcast address of the network, "
                                      "or [ff02::1%INTERFACE]"
                                    : ""));
  if (a.is_v6() && (a.to_v6().is_link_local() || a.to_v6().is_multicast_link_local()) &&
      a.to_v6().scope_id() == 0)
    throw wrong(parameter, "'" + text +
                               "' is a link-local address and needs the name of an interface of this "
                               "machine, for example [fe80::1%eth0]");
  if (a.is_v4() && a.to_v4() == asio::ip::address_v4::broadcast() && use != address_use::announce)
    throw wrong(parameter, "'" + text + "' is the broadcast address");
}

std::uint16_t parse_port(const char* parameter, const std::string& text, const std::string& digits,
                         address_use use) {
  unsigned port = 0;
  const auto* end = digits.data() + digits.size();
  const auto [at, failed] = std::from_chars(digits.data(), end, port);
  if (failed != std::errc{} || at != end || port > 65535)
    throw wrong(parameter, "'" + digits + "' in '" + text + "' is not a port, 0 to 65535");
  if (port == 0 && use != address_use::listen)
    throw wrong(parameter, "'" + text + "' needs the peer's port; 0 is not one");
  return static_cast<std::uint16_t>(port);
}

}  // namespace

host_port parse_host_port(const char* parameter, const std::string& text, address_use use) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size() || text.back() == ']')
    throw wrong(parameter, "it must be address:port, for example 127.0.0.1:7000, not '" + text + "'");
  auto host = text.substr(0, colon);
  const auto port = parse_port(parameter, text, text.substr(colon + 1), use);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  boost::system::error_code no_address;
  const auto address = asio::ip::make_address(host, no_address);
  if (no_address) {
    if (use == address_use::listen || brackets || looks_numeric(host) || !could_be_a_name(host) ||
        host.find(':') != std::string::npos)
      throw wrong(parameter, "'" + host + "' is not an IP address" +
                                 (use == address_use::listen ? " of this machine" : ""));
    return {host, port};
  }
  if (address.is_v6() != brackets)
    throw wrong(parameter, brackets
                               ? "'" + host + "' is in brackets, but is not an IPv6 address"
                               : "an IPv6 address needs brackets: [" + host + "]:" + std::to_string(port));
  check_address(parameter, address, use);
  return {host, port};
}

asio::ip::address plain(const asio::ip::address& a) {
  if (a.is_v6() && a.to_v6().is_v4_mapped()) return asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
  return a;
}

std::string text_of(const asio::ip::tcp::endpoint& at) {
  return text_of(host_port{plain(at.address()).to_string(), at.port()});
}

std::string text_of(const host_port& at) {
  const bool v6 = at.host.find(':') != std::string::npos;
  return (v6 ? "[" + at.host + "]" : at.host) + ":" + std::to_string(at.port);
}

}  // namespace cpns::tcp
