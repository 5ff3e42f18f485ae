#pragma once
// What a PNE advertises: the service, and in manufacturer data how it can be reached. The flags, the
// service's 128-bit UUID and this fill the 31 bytes of an advertisement that every controller can send and
// receive:
//
//   company  0xFFFF, which the Bluetooth SIG leaves to everybody
//   bytes    'C' 'P', version and ways (1 byte), PSM (1 byte), tag (2 bytes)
//
// The tag is drawn anew whenever the PNE wakes up, so that a gateway can tell one that woke from one that
// waits.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace cpns::ble {

inline constexpr std::string_view service_uuid = "7e0a97b7-cceb-4e7e-92c0-7edc50edc70e";
inline constexpr std::uint16_t company = 0xFFFF;

struct advert {
  bool channel = false;   ///< takes an L2CAP connection-oriented channel
  bool gatt = false;      ///< has the characteristics
  std::uint8_t psm = 0;   ///< 0x80 to 0xFF where channel is set
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

/// Nothing if it is somebody else's, of another version, or names no way that can be gone. Bytes behind it
/// are a later version's and are passed over.
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
