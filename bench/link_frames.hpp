#pragma once
// What the simulated gateways of the benchmarks have in common: device names, and frames of the server link.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.hpp"
#include "protocol/codec.hpp"

namespace cpns::bench {

using clock = std::chrono::steady_clock;

inline constexpr std::size_t frame_head = 4;  ///< bytes before a frame: its size

/// `name`: digits, letters and dots, which no other benchmark uses.
inline std::string device_name(const std::string& name) { return "urn:dev:os:32473-" + name; }

/// Appends the request as a frame of the server link.
inline void append_frame(bytes& to, const protocol::link_request& r) {
  const auto frame = encode(r);
  for (const int shift : {24, 16, 8, 0}) to.push_back(static_cast<std::uint8_t>(frame.size() >> shift));
  to.insert(to.end(), frame.begin(), frame.end());
}
/// The size of the frame behind the frame_head bytes at `head`.
inline std::size_t frame_size(const std::uint8_t* head) {
  return std::size_t{head[0]} << 24 | std::size_t{head[1]} << 16 | std::size_t{head[2]} << 8 | head[3];
}

}  // namespace cpns::bench
