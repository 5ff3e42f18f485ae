#pragma once
// Messages over frames. Every frame of every transport begins with two bytes, also when the message fits into
// one:
//
//   byte 0   the message's number, counted by its sender modulo 256, one counter a link and direction
//   byte 1   bit 7: this is the last fragment;  bit 6: zero;  bits 5 to 0: index of the fragment, from 0
//   then     the fragment, 1 byte and more; all but the last are of the same size, the frame size that the
//   sender uses less 2
//
// A message has 1 to 1024 bytes and at most 64 fragments. A receiver puts fragments together in whatever
// order they come, keeps four unfinished messages a link, and drops the oldest for a fifth. What is lost
// costs its own message only.

#include <array>
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

/// Splits messages of one link and direction. Not thread-safe.
class fragmenter {
 public:
  explicit fragmenter(std::uint32_t mtu) : mtu_(mtu) {}
  /// The frames of `message`, in order. wire_oversized if it has no or more than 1024 bytes.
  result<std::vector<bytes>> split(byte_view message);

 private:
  std::uint32_t mtu_;
  std::uint8_t next_ = 0;
};

/// Puts messages of one link and direction together. Not thread-safe.
class reassembler {
 public:
  /// The message that `frame` completes, or nothing yet. Errors name what is wrong with the frame; what was
  /// begun before stays as it was.
  result<std::optional<bytes>> take(byte_view frame);
  /// Messages that were given up unfinished.
  [[nodiscard]] std::uint64_t given_up() const { return given_up_; }

 private:
  struct partial {
    bool used = false;
    std::uint8_t number = 0;
    std::uint64_t age = 0;
    std::optional<std::size_t> count;  ///< known once the last fragment came
    std::size_t have = 0, size = 0;
    /// Empty unless `used`: most messages are one fragment, and a gateway has many links.
    std::vector<bytes> pieces;
    void begin(std::uint8_t n, std::uint64_t at);
    void end();
  };
  partial& find_or_begin(std::uint8_t number);

  std::array<partial, 4> partials_;
  std::uint64_t clock_ = 0, given_up_ = 0;
};

}  // namespace cpns::plugins
