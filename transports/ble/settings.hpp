#pragma once
// Parameters of the ble radio: Bluetooth Low Energy through BlueZ. For the bytes on the air see docs/protocol.md,
// "ble".

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "plugins/sdk/transport.hpp"

namespace cpns::ble {

/// Required security of a link, with BlueZ's levels. The protocol above does not depend on it.
enum class security : std::uint8_t { low = 1, medium = 2, high = 3 };

inline constexpr std::array parameters{
    sdk::text(
        "adapter",
        "Bluetooth adapters, separated by commas. Gateway: exactly one per transport. PNE: one per PNE.",
        "hci0", 4, 512, CPNS_PARAMETER_OF_BOTH | CPNS_PARAMETER_IS_ADDRESS),
    sdk::number("mtu", "Bytes of a frame; the same on both sides.", "1026", 23, 4096),
    sdk::text("ways",
              "Ways to link, separated by commas. PNE: the ways it offers. Gateway: the ways it uses; L2CAP "
              "if a PNE "
              "offers both.",
              "l2cap, gatt", 4, 16),
    sdk::choice(
        "security",
        "With medium or high, BlueZ encrypts the link and the devices must be paired; the protocol does not "
        "depend on it.",
        "low", "low medium high"),
    sdk::number("max_links",
                "Links at the same time: the controller's maximum, less the connections of other programs.",
                "4", 1, 64, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("connect_ms", "Milliseconds that one attempt to connect may take.", "5000", 500, 60'000,
                CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("idle_ms",
                "Milliseconds after which an idle link is closed if other PNEs wait; a busy link after ten "
                "times that.",
                "3000", 100, 600'000, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number(
        "rest_ms",
        "Milliseconds for which the PNE of such a closed link has the lowest priority, unless it wakes up.",
        "60000", 0, 86'400'000, CPNS_PARAMETER_OF_CENTRAL),
    sdk::number("psm", "The PSM on which L2CAP channels are accepted.", "197", 0x80, 0xFF,
                CPNS_PARAMETER_OF_PERIPHERAL),
};

/// The parsed parameters.
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
