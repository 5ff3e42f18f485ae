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
// A peer that vanished without a word is found by TCP keepalives, see liveness.hpp: the frames need none.
// Nothing here is secret or trusted: whoever connects is a stranger until the protocol above says otherwise.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/sdk/transport.hpp"
#include "transports/tcp/address.hpp"

namespace cpns::tcp {

inline constexpr std::array parameters{
    sdk::text("listen", "The IP address and TCP port that PNEs connect to; port 0: one that is free.",
              "127.0.0.1:0", 3, 64, CPNS_PARAMETER_OF_CENTRAL | CPNS_PARAMETER_IS_ADDRESS),
    sdk::text(
        "announce",
        "Where UDP beacons go: address:port or name:port, several with commas between; a broadcast address, "
        "or [ff02::1%INTERFACE], reaches all PNEs of a network.",
        "", 0, 1024, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("announce_ms", "Milliseconds between two beacons.", "500", 20, 3'600'000,
                CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("handshake_ms", "Milliseconds that a connection has for its hello.", "5000", 10, 600'000,
                CPNS_PARAMETER_OF_CENTRAL),
    sdk::text("connect",
              "Gateways that are dialled without a beacon: address:port or name:port, several with commas "
              "between.",
              "", 0, 1024, CPNS_PARAMETER_OF_PERIPHERAL | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("connect_ms", "Milliseconds that one attempt to connect may take.", "5000", 100, 600'000,
                CPNS_PARAMETER_OF_PERIPHERAL),
    sdk::number("discover", "The UDP port where beacons are heard; 0: none.", "0", 0, 65535,
                CPNS_PARAMETER_OF_PERIPHERAL),
    sdk::number("retry_ms",
                "Milliseconds before dialling again; doubled up to 64 times, and moved at random.", "200", 10,
                600'000, CPNS_PARAMETER_OF_PERIPHERAL),
    sdk::text("network", "A name; gateways and PNEs of other networks are left alone.", "cpns", 1, 64),
    sdk::number("mtu", "Bytes of a frame; the same on both sides.", "1026", 23, 65535),
    sdk::number("max_links", "Links at the same time.", "8192", 1, 1'000'000),
    sdk::number("frame_ms", "Milliseconds in which a frame that was begun has to be whole.", "5000", 10,
                600'000),
    sdk::number("dead_ms",
                "Milliseconds after which a peer is dead that answers nothing, not even TCP keepalives, and "
                "its link goes down.",
                "30000", 2000, 3'600'000),
    sdk::number("queue_bytes", "Bytes that wait for one link at most.", "65536", 2048, 16 * 1024 * 1024),
};

/// What the parameters say.
struct settings {
  // central
  host_port listen;
  std::vector<host_port> announce;
  std::uint64_t announce_ms = 0, handshake_ms = 0;
  // peripheral
  std::uint16_t discover = 0;
  std::vector<host_port> connect;
  std::uint64_t retry_ms = 0, connect_ms = 0;
  // both
  std::string network;
  std::uint32_t mtu = 0;
  std::uint64_t max_links = 0, frame_ms = 0, dead_ms = 0, queue_bytes = 0;
};

/// Throws sdk::bad_parameter.
settings read_settings(const sdk::parameters& p, cpns_role as);

/// How many of `max_links` this process can have open: some descriptors are left for stores and other
/// sockets, which a peer that only connects must not be able to take away.
std::uint64_t links_that_fit(std::uint64_t max_links);

/// "cpns-tcp/1", a zero byte: what hello and beacon begin with.
inline const std::string magic{"cpns-tcp/1\0", 11};

}  // namespace cpns::tcp
