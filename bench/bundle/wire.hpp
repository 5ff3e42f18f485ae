#pragma once
// The packets on the socket of a bundle: many links, one stream.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace cpns::bundle {

using bytes = std::vector<std::uint8_t>;
using byte_view = std::span<const std::uint8_t>;

enum class kind : std::uint8_t {
  scanning = 1,  ///< gateway to PNEs: whether it takes offers; one byte
  offer,         ///< PNEs to gateway: a PNE wants a link; the sender's number, and the address of the PNE
  up,    ///< gateway to PNEs: the offer is taken; the receiver's number, and the gateway's number, 8 bytes
  full,  ///< gateway to PNEs: the offer is not taken; offer again after the next `scanning`
  down,  ///< either way: the link is over; the receiver's number
  frame  ///< either way: the receiver's number, and the frame
};

/// A head of 11 bytes, big endian: kind, size of the content (2), number of the link (8); then the content.
struct packet {
  kind what = kind::down;
  std::uint64_t number = 0;
  byte_view content;
};
inline constexpr std::size_t head_size = 11, content_max = 0xFFFF;

inline std::uint64_t read_number(byte_view in) {
  std::uint64_t out = 0;
  for (const auto b : in) out = out << 8 | b;
  return out;
}
inline void append_number(bytes& to, std::uint64_t n, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8)
    to.push_back(static_cast<std::uint8_t>(n >> shift));
}
inline void append(bytes& to, kind what, std::uint64_t number, byte_view content) {
  to.push_back(static_cast<std::uint8_t>(what));
  append_number(to, content.size(), 2);
  append_number(to, number, 8);
  to.insert(to.end(), content.begin(), content.end());
}
/// The first packet of `in`, which it borrows; nothing if it has not arrived as a whole.
inline std::optional<packet> first_packet(byte_view in) {
  if (in.size() < head_size) return std::nullopt;
  const auto size = static_cast<std::size_t>(read_number(in.subspan(1, 2)));
  if (in.size() < head_size + size) return std::nullopt;
  return packet{static_cast<kind>(in[0]), read_number(in.subspan(3, 8)), in.subspan(head_size, size)};
}

}  // namespace cpns::bundle
