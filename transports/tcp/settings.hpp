#pragma once
// A radio over TCP: the gateway listens and announces itself by UDP beacons, PNEs dial. Wire format:
//
//   frame    length (4 bytes, big-endian, 1 to mtu), then that many bytes
//   hello    the first frame of a connection, from the PNE: "cpns-tcp/1", a zero byte, the network's name.
//   The gateway
//            answers nothing; it closes a connection whose hello is another one or does not come in
//            `handshake_ms`.
//   beacon   one UDP datagram: "cpns-tcp/1", a zero byte, the gateway's TCP port (2 bytes, big-endian), the
//   network's name
//
// Nothing here is secret or trusted: whoever connects is a stranger until the protocol above says otherwise.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "plugins/sdk/transport.hpp"

namespace cpns::tcp {

using host_port = std::pair<std::string, std::uint16_t>;  ///< an IP address and a port

struct settings {
  // central
  host_port listen{"127.0.0.1", 0};
  std::vector<host_port> announce;  ///< where beacons go
  std::uint64_t announce_ms = 500;  ///< between two beacons
  // peripheral
  std::uint16_t discover = 0;      ///< UDP port where beacons are heard; 0: none
  std::vector<host_port> connect;  ///< gateways that are dialled without a beacon
  std::uint64_t retry_ms = 200;    ///< first pause before dialling again; doubled up to 64 times, with jitter
  // both
  std::string network = "cpns";
  std::uint32_t mtu = 1026;
  std::uint64_t max_links = 8192;
  std::uint64_t handshake_ms = 5000;      ///< for the hello
  std::uint64_t frame_ms = 5000;          ///< a frame that was begun has to be whole after this
  std::uint64_t queue_bytes = 64 * 1024;  ///< of one link
};

/// Takes the parameters; throws sdk::bad_parameter that says which one and what it must be.
settings read_settings(sdk::parameters& p, cpns_role as);

/// How many of `max_links` this process can have open: some descriptors are left for stores and other
/// sockets, which whoever only connects must not be able to take away.
std::uint64_t links_that_fit(std::uint64_t max_links);

/// "cpns-tcp/1", a zero byte: what hello and beacon begin with.
inline const std::string magic{"cpns-tcp/1\0", 11};

}  // namespace cpns::tcp
