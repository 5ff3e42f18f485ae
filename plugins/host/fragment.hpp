#pragma once
// Splits messages into frames and reassembles them. Every frame of every transport begins with two bytes, even if
// the message fits into one frame:
//
//   byte 0   the message's number, counted by its sender modulo 256, one counter per link and direction
//   byte 1   bit 7: this is the last fragment;  bit 6: zero;  bits 5 to 0: index of the fragment, from 0
//   then     the fragment, 1 byte or more; all but the last have the same size: the sender's frame size less 2
//
// A message has 1 to 1024 bytes and at most 64 fragments. A receiver accepts fragments in any order, keeps four
// unfinished messages per link, and drops the oldest of them for a fifth. A lost fragment costs only its own
// message.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace cpns::plugins {

inline constexpr std::size_t fragment_header = 2;
inline constexpr std::size_t fragments_max = 64;
inline constexpr std::size_t message_max = 1024;
inline constexpr std::uint32_t mtu_min = 23;  ///< (1024 bytes / 64 fragments) + 2 fits
inline constexpr std::uint32_t mtu_max = 65535;

/// Splits the messages of one direction of a link. Not thread-safe.
class fragmenter {
 public:
  explicit fragmenter(std::uint32_t mtu) : mtu_(mtu) {}
  /// The frames of `message`, in order. wire_oversized if it is empty or has more than 1024 bytes.
  result<std::vector<bytes>> split(byte_view message);

 private:
  std::uint32_t mtu_;
  std::uint8_t next_ = 0;
};

/// Reassembles the messages of one direction of a link. Not thread-safe.
class reassembler {
 public:
  /// The message that `frame` completes, or nothing yet. An error names the fault of the frame; other unfinished
  /// messages stay.
  result<std::optional<bytes>> take(byte_view frame);
  /// Number of messages dropped unfinished.
  [[nodiscard]] std::uint64_t given_up() const { return given_up_; }

 private:
  struct partial {
    std::uint8_t number = 0;
    std::optional<std::size_t> count;  ///< known once the last fragment has arrived
    std::size_t have = 0, size = 0;
    std::vector<bytes> pieces;
  };
  partial& find_or_begin(std::uint8_t number);
  partial& begin(std::uint8_t number);
  void end(const partial& p);

  /// At most four, the oldest first. Empty between messages, and for those of one fragment, because a gateway has many links.
  std::vector<partial> partials_;
  std::uint64_t given_up_ = 0;
};

}  // namespace cpns::plugins
