#include "transports/tcp/settings.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <charconv>

namespace cpns::tcp {
namespace {

/// "address:port" or "[v6 address]:port".
host_port parse(const char* name, const std::string& text) {
  const auto colon = text.rfind(':');
  const auto wrong = [&] {
    return sdk::bad_parameter{name,
                              "it must be address:port, for example 127.0.0.1:7000, not '" + text + "'"};
  };
  if (colon == std::string::npos || colon == 0) throw wrong();
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  unsigned port = 0;
  const auto* begin = text.data() + colon + 1;
  const auto* end = text.data() + text.size();
  const auto [at, failed] = std::from_chars(begin, end, port);
  if (failed != std::errc{} || at != end || begin == end || port > 65535) throw wrong();
  boost::system::error_code no_address;
  boost::asio::ip::make_address(host, no_address);
  if (no_address) throw sdk::bad_parameter{name, "'" + host + "' is no IP address"};
  return {host, static_cast<std::uint16_t>(port)};
}

std::vector<host_port> parse_list(const sdk::parameters& p, const char* name) {
  std::vector<host_port> out;
  for (const auto& word : p.list(name)) out.push_back(parse(name, word));
  return out;
}

/// Left for others, where there are enough.
constexpr std::uint64_t reserved_files = 128;

}  // namespace

std::uint64_t links_that_fit(std::uint64_t max_links) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return max_links;
  const std::uint64_t most = files.rlim_cur;
  return std::min(max_links, most - std::min(reserved_files, most / 2));
}

settings read_settings(const sdk::parameters& p, cpns_role as) {
  settings s;
  s.network = p.text("network");
  s.mtu = static_cast<std::uint32_t>(p.number("mtu"));
  if (magic.size() + s.network.size() > s.mtu)
    throw sdk::bad_parameter{"network", "the hello holds it in one frame, so with an mtu of " +
                                            std::to_string(s.mtu) + " it must have 1 to " +
                                            std::to_string(s.mtu - magic.size()) + " bytes"};
  s.max_links = p.number("max_links");
  s.frame_ms = p.number("frame_ms");
  s.queue_bytes = p.number("queue_bytes");
  if (as == CPNS_ROLE_CENTRAL) {
    s.listen = parse("listen", p.text("listen"));
    s.announce = parse_list(p, "announce");
    s.announce_ms = p.number("announce_ms");
    s.handshake_ms = p.number("handshake_ms");
  } else {
    s.discover = static_cast<std::uint16_t>(p.number("discover"));
    s.connect = parse_list(p, "connect");
    s.retry_ms = p.number("retry_ms");
    if (s.discover == 0 && s.connect.empty())
      throw sdk::bad_parameter{"connect", "a PNE needs it (address:port of a gateway), or discover (the UDP "
                                          "port of beacons)"};
  }
  return s;
}

}  // namespace cpns::tcp
