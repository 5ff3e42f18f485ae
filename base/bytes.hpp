#pragma once
// Views and owners of raw bytes, and their text forms (hex, base64).

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cpns {

using bytes = std::vector<std::uint8_t>;
using byte_view = std::span<const std::uint8_t>;
template <std::size_t N>
using byte_array = std::array<std::uint8_t, N>;

/// The bytes of a text, without a copy; valid as long as the text.
inline byte_view as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(byte_view b) { return {reinterpret_cast<const char*>(b.data()), b.size()}; }
inline bytes to_bytes(byte_view b) { return {b.begin(), b.end()}; }

/// Length in bytes of the UTF-8 character at the beginning of `b` (RFC 3629: no overlong forms, no surrogates,
/// nothing above U+10FFFF); 0 if there is none.
std::size_t utf8_length(byte_view b);

/// The first N bytes of `b`, which has at least N.
template <std::size_t N>
byte_array<N> first(byte_view b) {
  byte_array<N> out{};
  for (std::size_t i = 0; i < N; ++i) out[i] = b[i];
  return out;
}

inline bool equal(byte_view a, byte_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) return false;
  return true;
}

/// Lower-case hexadecimal.
std::string to_hex(byte_view b);
/// Upper and lower case, an even number of digits and nothing else; nullopt otherwise.
std::optional<bytes> from_hex(std::string_view text);
/// RFC 4648 section 4, with padding.
std::string to_base64(byte_view b);
std::optional<bytes> from_base64(std::string_view text);

}  // namespace cpns
