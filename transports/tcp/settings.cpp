#include "transports/tcp/settings.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace cpns::tcp {
namespace {

/// "address:port" or "[v6 address]:port".
host_port parse(const std::string& name, const std::string& text) {
  const auto colon = text.rfind(':');
  const auto wrong = [&] {
    return sdk::bad_parameter{"parameter " + name + " is '" + text +
                              "', it must be address:port, for example 127.0.0.1:7000"};
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
  if (no_address) throw sdk::bad_parameter{"parameter " + name + ": '" + host + "' is no IP address"};
  return {host, static_cast<std::uint16_t>(port)};
}

std::vector<host_port> parse_list(const std::string& name, const std::string& text) {
  std::vector<host_port> out;
  std::string_view rest{text};
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    auto item = rest.substr(0, comma);
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.push_back(parse(name, std::string{item}));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
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

settings read_settings(sdk::parameters& p, cpns_role as) {
  settings s;
  s.network = p.text("network", s.network);
  if (s.network.empty() || s.network.size() > 64)
    throw sdk::bad_parameter{"parameter network must have 1 to 64 bytes"};
  s.mtu = static_cast<std::uint32_t>(p.number("mtu", s.mtu, 23, 65535));
  if (magic.size() + s.network.size() > s.mtu)
    throw sdk::bad_parameter{"parameter network: the hello holds it in one frame, so with an mtu of " +
                             std::to_string(s.mtu) + " it must have 1 to " +
                             std::to_string(s.mtu - magic.size()) + " bytes"};
  s.max_links = p.number("max_links", s.max_links, 1, 1'000'000);
  s.frame_ms = p.number("frame_ms", s.frame_ms, 10, 600'000);
  s.queue_bytes = p.number("queue_bytes", s.queue_bytes, 2048, 16 * 1024 * 1024);
  if (as == CPNS_ROLE_CENTRAL) {
    s.listen = parse("listen", p.text("listen", "127.0.0.1:0"));
    s.announce = parse_list("announce", p.text("announce", ""));
    s.announce_ms = p.number("announce_ms", s.announce_ms, 20, 3'600'000);
    s.handshake_ms = p.number("handshake_ms", s.handshake_ms, 10, 600'000);
  } else {
    s.discover = static_cast<std::uint16_t>(p.number("discover", 0, 0, 65535));
    s.connect = parse_list("connect", p.text("connect", ""));
    s.retry_ms = p.number("retry_ms", s.retry_ms, 10, 600'000);
    if (s.discover == 0 && s.connect.empty())
      throw sdk::bad_parameter{"a PNE needs the parameter discover (the UDP port of beacons) or connect "
                               "(address:port of a gateway)"};
  }
  p.finish();
  return s;
}

}  // namespace cpns::tcp
