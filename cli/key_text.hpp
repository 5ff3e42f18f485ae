#pragma once
// The text of a Temporary Key in a list of devices or in a file of its own.
//
//   hex:...     hexadecimal digits, two a byte
//   base64:...  RFC 4648 section 4, with padding
//   text:...    the bytes of the text itself
//
// A column `encoding` says the same for a field without such a beginning. A field that says nothing is read
// as hexadecimal if it has at least 32 digits, a multiple of 8, and nothing else; or, if it is to be
// stretched, as a text that looks like neither hexadecimal nor base64. What looks like digits that a
// spreadsheet or a person changed is refused, since as a text it would be another key than that of the
// device.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/secret.hpp"

namespace cpns::cli {

inline constexpr std::size_t temporary_key_max = 256;  ///< bytes
inline constexpr std::size_t temporary_key_128bit_min = 16;
inline constexpr std::size_t temporary_key_stretch_min = 6;

enum class key_encoding : std::uint8_t { unsaid, hex, base64, text };

/// Reads the word of a column `encoding`; false if it is none. The empty word is `unsaid`.
bool read_key_encoding(std::string_view word, key_encoding& out);

/// TK from its text. Returns what is wrong, without a digit of the key, or nothing.
std::string read_key_text(std::string_view text, key_encoding said, bool stretch, secret_bytes& out);

/// Whether somebody chose the bytes rather than drew them: one byte again and again; where 128 random bits
/// are declared also bytes that count up or down, and a pattern of up to 8 bytes again and again.
bool is_constant_key(byte_view key, bool stretch);

}  // namespace cpns::cli
