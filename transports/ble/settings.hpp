#pragma once
// A radio over Bluetooth Low Energy, through BlueZ. What goes on the air stands in docs/protocol.md, "ble".

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/sdk/transport.hpp"

namespace cpns::ble {

/// How a link has to be secured before it is used, as BlueZ counts it. The messages above need none of it.
enum class security : std::uint8_t { low = 1, medium = 2, high = 3 };

inline constexpr std::array parameters{
    sdk::text("adapter", "Gateway: one (name a second one in a transport of its own). PNE: one for each PNE.",
              "hci0", 4, 512, CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("mtu", "Bytes of a frame; the same on both sides.", "1026", 23, 4096),
    sdk::text("ways", "PNE: what it offers. Gateway: what it takes; L2CAP where a PNE offers both.",
              "l2cap, gatt", 4, 16),
    sdk::choice(
        "security",
        "With medium or high BlueZ encrypts the channel, and the devices have to be paired; the protocol "
        "needs none of it.",
        "low", "low medium high"),
    sdk::number("max_links", "What the controller can hold, less what others need.", "4", 1, 64,
                CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("connect_ms", "Milliseconds for one attempt to connect.", "5000", 500, 60'000,
                CPNS_PARAMETER_OF_CENTRAL),
    sdk::number(
        "idle_ms",
        "Milliseconds after which a quiet link is given up while other PNEs wait; a busy one after ten "
        "times that.",
        "3000", 100, 600'000, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("rest_ms",
                "Then its PNE stands behind the others for so many milliseconds, unless it wakes up.",
                "60000", 0, 86'400'000, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("psm", "Where channels are taken.", "197", 0x80, 0xFF, CPNS_PARAMETER_OF_PERIPHERAL),
};

/// What the parameters say.
struct settings {
  std::vector<std::string> adapters;
  std::uint32_t mtu = 0;
  bool l2cap = false, gatt = false;  ///< the ways
  security level = security::low;
  // central
  std::uint64_t max_links = 0, connect_ms = 0, idle_ms = 0, rest_ms = 0;
  // peripheral
  std::uint8_t psm = 0;
};

/// Throws sdk::bad_parameter.
settings read_settings(const sdk::parameters& p, cpns_role as);

}  // namespace cpns::ble
