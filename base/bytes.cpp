#include "base/bytes.hpp"

#include <algorithm>

#include "base/secret.hpp"

namespace cpns {
namespace {

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t utf8_length(byte_view b) {
  if (b.empty()) return 0;
  const std::uint8_t c = b[0];
  if (c < 0x80) return 1;
  const std::size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
  if (n == 0 || b.size() < n) return 0;
  const std::uint8_t d = b[1];
  if ((c == 0xe0 && d < 0xa0) || (c == 0xed && d > 0x9f) || (c == 0xf0 && d < 0x90) ||
      (c == 0xf4 && d > 0x8f))
    return 0;
  for (std::size_t k = 1; k < n; ++k)
    if ((b[k] & 0xc0) != 0x80) return 0;
  return n;
}

std::string to_hex(byte_view b) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(b.size() * 2);
  for (auto v : b) {
    out += digits[v >> 4];
    out += digits[v & 15];
  }
  return out;
}

/// The text may be a key.
static std::optional<bytes> nothing_of(bytes& begun) {
  wipe(begun);
  return std::nullopt;
}

std::optional<bytes> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int hi = hex_digit(text[i]), lo = hex_digit(text[i + 1]);
    if (hi < 0 || lo < 0) return nothing_of(out);
    out.push_back(static_cast<std::uint8_t>(hi << 4 | lo));
  }
  return out;
}

std::string to_base64(byte_view b) {
  std::string out;
  out.reserve((b.size() + 2) / 3 * 4);  // growing would leave a copy behind
  for (std::size_t i = 0; i < b.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, b.size() - i);
    std::uint32_t v = 0;
    for (std::size_t k = 0; k < 3; ++k) v = v << 8 | (k < n ? b[i + k] : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? base64_digits[v >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::optional<bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  bytes out;
  out.reserve(text.size() / 4 * 3);  // growing would leave a copy behind
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t v = 0;
    std::size_t pad = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      if (c == '=' && i + 4 == text.size() && k >= 2) {
        ++pad;
        v <<= 6;
        continue;
      }
      const auto at = base64_digits.find(c);
      if (at == std::string_view::npos || pad != 0) return nothing_of(out);
      v = v << 6 | static_cast<std::uint32_t>(at);
    }
    for (std::size_t k = 0; k < 3 - pad; ++k) out.push_back(static_cast<std::uint8_t>(v >> (16 - 8 * k)));
    if ((pad == 1 && (v & 0xff) != 0) || (pad == 2 && (v & 0xffff) != 0)) return nothing_of(out);
  }
  return out;
}

}  // namespace cpns
