#pragma once
// A radio over TCP: the gateway listens and announces itself by UDP beacons, PNEs dial. Wire format:
//
//   frame    length (4 bytes, big-endian, 1 to mtu), then that many bytes
//   hello    the first frame of a connection, from the PNE: "cpns-tcp/1", a zero byte, the network's name. The
//            gateway does not answer; it closes a connection with another hello, or none within `handshake_ms`
//   beacon   one UDP datagram: "cpns-tcp/1", a zero byte, the gateway's TCP port (2 bytes, big-endian), the
//            network's name
//
// A peer that vanished is detected by TCP keepalives (connection.cpp), so frames need none. Nothing here is secret
// or trusted: a peer that connects is a stranger until the protocol above has verified it.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/sdk/transport.hpp"
#include "transports/tcp/address.hpp"

namespace cpns::tcp {

inline constexpr std::array parameters{
    sdk::text("listen", "The IP address and TCP port that PNEs connect to; port 0: any free port.",
              "127.0.0.1:0", 3, 64, CPNS_PARAMETER_OF_CENTRAL | CPNS_PARAMETER_IS_ADDRESS),
    sdk::text(
        "announce",
        "Destinations of UDP beacons: address:port or name:port, separated by commas; a broadcast address, "
        "or [ff02::1%INTERFACE], reaches all PNEs of a network.",
        "", 0, 1024, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("announce_ms", "Milliseconds between two beacons.", "500", 20, 3'600'000,
                CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("handshake_ms", "Milliseconds within which a connection must send its hello.", "5000", 10,
                600'000, CPNS_PARAMETER_OF_CENTRAL),
    sdk::text("connect",
              "Gateways to connect to without a beacon: address:port or name:port, separated by commas.", "",
              0, 1024, CPNS_PARAMETER_OF_PERIPHERAL | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("connect_ms", "Milliseconds that one attempt to connect may take.", "5000", 100, 600'000,
                CPNS_PARAMETER_OF_PERIPHERAL),
    sdk::number("discover", "The UDP port on which beacons are received; 0: none.", "0", 0, 65535,
                CPNS_PARAMETER_OF_PERIPHERAL),
    sdk::number(
        "retry_ms",
        "Milliseconds before connecting again; doubles after each failure, up to 64 times this, with random "
        "jitter.",
        "200", 10, 600'000, CPNS_PARAMETER_OF_PERIPHERAL),
    sdk::text("network", "A name; gateways and PNEs of other networks are ignored.", "cpns", 1, 64),
    sdk::number("mtu", "Bytes of a frame; the same on both sides.", "1026", 23, 65535),
    sdk::number(
        "max_links",
        "Links at the same time; 0: as many as the open files of the process allow, less 128 for its other "
        "work, and those that its other tcp radios keep by this parameter.",
        "0", 0, 1'000'000),
    sdk::number("frame_ms", "Milliseconds within which a frame must arrive whole.", "5000", 10, 600'000),
    sdk::number(
        "dead_ms",
        "Milliseconds after which a link goes down whose peer answers nothing, not even TCP keepalives.",
        "30000", 2000, 3'600'000),
    sdk::number("queue_bytes", "Maximum bytes queued per link.", "65536", 2048, 16 * 1024 * 1024),
};

/// The parsed parameters.
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

/// The prefix of hello and beacon: "cpns-tcp/1" and a zero byte.
inline const std::string magic{"cpns-tcp/1\0", 11};

}  // namespace cpns::tcp
