#pragma once
// A device address, with its kind: the same six bytes as public and as random are two devices.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace cpns::ble {

struct address {
  std::array<std::uint8_t, 6> bytes{};  ///< in the order of the air, the last pair of the text first
  bool random = false;

  /// From "AA:BB:CC:DD:EE:FF" and BlueZ's "public" or "random".
  static std::optional<address> parse(const std::string& text, const std::string& kind);
  /// "AA:BB:CC:DD:EE:FF", and "/random" behind one of that kind.
  [[nodiscard]] std::string text() const;
  bool operator==(const address&) const = default;
};

}  // namespace cpns::ble
