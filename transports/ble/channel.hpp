#pragma once
// L2CAP connection-oriented channels over LE: the sockets. Throws std::system_error where the kernel refuses.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "transports/ble/fd.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// A device address, with its kind: the same six bytes as public and as random are two devices.
struct address {
  std::array<std::uint8_t, 6> bytes{};  ///< in the order of the air, the last pair of the text first
  bool random = false;

  /// From "AA:BB:CC:DD:EE:FF" and BlueZ's "public" or "random".
  static std::optional<address> parse(const std::string& text, const std::string& kind);
  /// "AA:BB:CC:DD:EE:FF", and "/random" behind one of that kind.
  [[nodiscard]] std::string text() const;
  bool operator==(const address&) const = default;
};

/// A listening socket at `psm` of the adapter with this address.
fd listen_at(const address& adapter, std::uint8_t psm, const settings& s);
/// A socket whose connection is under way.
fd begin_connect(const address& adapter, const address& peer, std::uint8_t psm, const settings& s);
/// The next connection that waits at `listener`, or none.
fd accept_one(int listener, address& peer);
/// 0 if the connection came up, or errno's value.
int connect_outcome(int socket);
/// What is wrong with a channel that is up: the peer takes less than a frame, or it is not as secure as it
/// has to be.
std::optional<std::string> shortcoming(int socket, const settings& s);

}  // namespace cpns::ble
