#pragma once
// The text of a Temporary Key in a list of devices or in a file of its own.
//
//   hex:...     hexadecimal digits, two per byte
//   base64:...  RFC 4648 section 4, with padding
//   text:...    the bytes of the text itself
//
// A column `encoding` names the encoding of a field without such a prefix. A field with neither is read as
// hexadecimal if it consists of at least 32 digits, a multiple of 8; or, if the key is to be stretched, as a text
// that looks like neither hexadecimal nor base64. Digits that a spreadsheet or a person seems to have changed are
// refused: read as a text, they would be another key than that of the device.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace cpns::server {

inline constexpr std::size_t temporary_key_max = 256;  ///< bytes
inline constexpr std::size_t temporary_key_128bit_min = 16;
inline constexpr std::size_t temporary_key_stretch_min = 6;

enum class key_encoding : std::uint8_t { none, hex, base64, text };

/// Reads the word of a column `encoding`; false if it is unknown. The empty word is `none`.
bool read_key_encoding(std::string_view word, key_encoding& out);

/// TK from its text. Returns the error, without a digit of the key, or an empty text.
std::string read_key_text(std::string_view text, key_encoding encoding, bool stretch, secret_bytes& out);

/// Whether a text that should be something else is probably a key: it begins with an encoding, or is made of hexadecimal
/// digits, or is padded base64.
bool looks_like_key(std::string_view text);

/// Whether the bytes were chosen rather than drawn at random: one byte repeated; where 128 random bits are
/// declared also bytes that count up or down, and a repeated pattern of up to 8 bytes.
bool is_constant_key(byte_view key, bool stretch);

}  // namespace cpns::server
