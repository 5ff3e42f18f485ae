#pragma once
// How a PNE is found: its device address, and its advertisement. The advertisement names the service, and in
// manufacturer data the ways to reach the PNE. Flags, the service's 128-bit UUID and this data fill the 31 bytes
// that every controller supports:
//
//   company  0xFFFF, reserved by the Bluetooth SIG for testing
//   bytes    'C' 'P', version and ways (1 byte), PSM (1 byte), tag (2 bytes)
//
// A PNE draws a new tag at each wake-up, so that a gateway can distinguish a PNE that woke up from one that waits.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cpns::ble {

/// A device address and its kind: the same six bytes as a public and as a random address are two devices.
struct address {
  std::array<std::uint8_t, 6> bytes{};  ///< in the order on the air: the text's last pair comes first
  bool random = false;

  /// From "AA:BB:CC:DD:EE:FF" and BlueZ's "public" or "random".
  static std::optional<address> parse(const std::string& text, const std::string& kind) {
    address out;
    out.random = kind == "random";
    std::array<unsigned, 6> pairs{};
    int end = 0;
    if (std::sscanf(text.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%n", &pairs[5], &pairs[4], &pairs[3], &pairs[2],
                    &pairs[1], &pairs[0], &end) != 6 ||
        static_cast<std::size_t>(end) != text.size())
      return std::nullopt;
    std::transform(pairs.begin(), pairs.end(), out.bytes.begin(),
                   [](unsigned p) { return static_cast<std::uint8_t>(p); });
    return out;
  }
  /// "AA:BB:CC:DD:EE:FF", with "/random" appended to a random address.
  [[nodiscard]] std::string text() const {
    char out[18];
    std::snprintf(out, sizeof out, "%02X:%02X:%02X:%02X:%02X:%02X", bytes[5], bytes[4], bytes[3], bytes[2],
                  bytes[1], bytes[0]);
    return random ? std::string{out} + "/random" : std::string{out};
  }
  bool operator==(const address&) const = default;
};

inline constexpr std::string_view service_uuid = "7e0a97b7-cceb-4e7e-92c0-7edc50edc70e";
inline constexpr std::uint16_t company = 0xFFFF;

struct advert {
  bool channel = false;   ///< accepts L2CAP connection-oriented channels
  bool gatt = false;      ///< has the GATT characteristics
  std::uint8_t psm = 0;   ///< 0x80 to 0xFF if channel is set
  std::uint16_t tag = 0;  ///< of this wake-up
};

constexpr std::size_t advert_size = 6;

inline std::vector<std::uint8_t> encode(const advert& a) {
  const auto ways = static_cast<std::uint8_t>((a.channel ? 1 : 0) | (a.gatt ? 2 : 0));
  return {'C',
          'P',
          static_cast<std::uint8_t>(0x10 | ways),
          a.psm,
          static_cast<std::uint8_t>(a.tag >> 8),
          static_cast<std::uint8_t>(a.tag)};
}

/// nullopt for data of another product or version, or without a usable way. Further bytes belong to a later
/// version and are ignored.
inline std::optional<advert> decode(std::span<const std::uint8_t> data) {
  if (data.size() < advert_size || data[0] != 'C' || data[1] != 'P' || data[2] >> 4 != 1) return std::nullopt;
  advert a;
  a.channel = (data[2] & 1) != 0 && data[3] >= 0x80;
  a.gatt = (data[2] & 2) != 0;
  a.psm = data[3];
  a.tag = static_cast<std::uint16_t>(data[4] << 8 | data[5]);
  if (!a.channel && !a.gatt) return std::nullopt;
  return a;
}

}  // namespace cpns::ble
