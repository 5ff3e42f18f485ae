#pragma once
// A radio over Bluetooth Low Energy, through BlueZ. What goes on the air stands in docs/protocol.md, "ble".

#include <cstdint>
#include <string>
#include <vector>

#include "plugins/sdk/transport.hpp"

namespace cpns::ble {

/// How a link has to be secured before it is used, as BlueZ counts it. The messages above need none of it.
enum class security : std::uint8_t { low = 1, medium = 2, high = 3 };

struct settings {
  std::vector<std::string> adapters{"hci0"};  ///< central: one; peripheral: one for each PNE
  std::uint32_t mtu = 1026;                   ///< bytes of a frame, and what a channel takes at once
  security level = security::low;
  // central
  std::uint64_t max_links = 4;
  std::uint64_t connect_ms = 5000;  ///< for one attempt
  std::uint64_t idle_ms = 3000;     ///< a link that was quiet so long is given up while others wait
  std::uint64_t rest_ms = 60'000;   ///< then its PNE stands behind the others for so long
  // peripheral
  std::uint8_t psm = 0xC5;
};

/// Takes the parameters; throws sdk::bad_parameter that says which one and what it must be.
settings read_settings(sdk::parameters& p, cpns_role as);

}  // namespace cpns::ble
