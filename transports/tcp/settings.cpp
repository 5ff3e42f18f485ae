#include "transports/tcp/settings.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace cpns::tcp {
namespace {

std::vector<host_port> parse_list(const sdk::parameters& p, const char* name, address_use use) {
  std::vector<host_port> out;
  for (const auto& word : p.list(name)) out.push_back(parse_host_port(name, word, use));
  return out;
}

/// A PNE connects to the source address of a beacon, so the gateway must be listening there.
void check_reach(const settings& s) {
  const auto own = asio::ip::make_address(s.listen.host);
  for (const auto& to : s.announce) {
    boost::system::error_code a_name;
    const auto a = asio::ip::make_address(to.host, a_name);
    if (a_name) continue;
    const auto because = [&](const std::string& what) {
      return sdk::bad_parameter{"announce", "a PNE that receives a beacon at " + text_of(to) +
                                                " connects to its source address, but listen is " +
                                                text_of(s.listen) + ", " + what};
    };
    if (a.is_v4() && own.is_v6() && !own.is_unspecified()) throw because("an IPv6 address");
    if (a.is_v6() && own.is_v4()) throw because("an IPv4 address; [::]:port accepts IPv4 and IPv6");
    if (own.is_loopback() && !a.is_loopback()) throw because("which only this machine can reach");
  }
}

}  // namespace

settings read_settings(const sdk::parameters& p, cpns_role as) {
  settings s;
  s.network = p.text("network");
  s.mtu = static_cast<std::uint32_t>(p.number("mtu"));
  if (magic.size() + s.network.size() > s.mtu)
    throw sdk::bad_parameter{"network", "the hello must fit into one frame, so with an mtu of " +
                                            std::to_string(s.mtu) + " it must have 1 to " +
                                            std::to_string(s.mtu - magic.size()) + " bytes"};
  s.max_links = p.number("max_links");
  s.frame_ms = p.number("frame_ms");
  s.dead_ms = p.number("dead_ms");
  s.queue_bytes = p.number("queue_bytes");
  if (as == CPNS_ROLE_CENTRAL) {
    s.listen = parse_host_port("listen", p.text("listen"), address_use::listen);
    s.announce = parse_list(p, "announce", address_use::announce);
    check_reach(s);
    s.announce_ms = p.number("announce_ms");
    s.handshake_ms = p.number("handshake_ms");
  } else {
    s.discover = static_cast<std::uint16_t>(p.number("discover"));
    s.connect = parse_list(p, "connect", address_use::connect);
    s.retry_ms = p.number("retry_ms");
    s.connect_ms = p.number("connect_ms");
    if (s.discover == 0 && s.connect.empty())
      throw sdk::bad_parameter{"connect",
                               "a PNE needs connect (address:port of a gateway) or discover (the UDP "
                               "port of beacons)"};
  }
  return s;
}

}  // namespace cpns::tcp
