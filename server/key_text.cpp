#include "server/key_text.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace cpns::server {
namespace {

constexpr std::array<std::pair<std::string_view, key_encoding>, 3> encodings{
    {{"hex", key_encoding::hex}, {"base64", key_encoding::base64}, {"text", key_encoding::text}}};

constexpr std::size_t hex_bare_min = 2 * temporary_key_128bit_min;
constexpr std::size_t hex_bare_step = 8;  ///< digits; a lost leading zero, or several, shows
constexpr std::size_t hex_suspicious_min = 16;
constexpr std::size_t base64_suspicious_min = 20;

bool is_decimal(char c) { return c >= '0' && c <= '9'; }
bool is_small(char c) { return c >= 'a' && c <= 'z'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
char lower(char c) { return is_capital(c) ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_hex(char c) { return is_decimal(c) || (lower(c) >= 'a' && lower(c) <= 'f'); }
bool is_separator(char c) { return c == ' ' || c == '\t' || c == ':' || c == '-' || c == '.' || c == '_'; }
/// Letters that people write for 0 and 1.
bool is_mistaken(char c) { return lower(c) == 'o' || c == 'l' || c == 'I'; }

/// Counts the characters of a text by how they may stand in a row of hexadecimal digits.
struct hex_look {
  std::size_t digits = 0, separators = 0, mistaken = 0, others = 0;
  bool prefixed = false;
  explicit hex_look(std::string_view t) : prefixed(t.starts_with("0x") || t.starts_with("0X")) {
    for (const char c : prefixed ? t.substr(2) : t) {
      digits += is_hex(c) ? 1 : 0;
      separators += is_separator(c) ? 1 : 0;
      mistaken += is_mistaken(c) ? 1 : 0;
      others += !is_hex(c) && !is_separator(c) && !is_mistaken(c) ? 1 : 0;
    }
  }
  [[nodiscard]] std::size_t size() const { return digits + mistaken; }
  [[nodiscard]] bool likely() const {
    return others == 0 && size() >= hex_suspicious_min && digits > mistaken;
  }
};

/// 8.14E+31
bool is_scientific(std::string_view t) {
  const auto e = std::find_if(t.begin(), t.end(), [](char c) { return lower(c) == 'e'; }) - t.begin();
  const auto rest = t.substr(std::min(static_cast<std::size_t>(e) + 1, t.size()));
  const auto front = t.substr(0, static_cast<std::size_t>(e));
  return !front.empty() && rest.size() > 1 && (rest[0] == '+' || rest[0] == '-') &&
         std::all_of(rest.begin() + 1, rest.end(), is_decimal) &&
         std::all_of(front.begin(), front.end(),
                     [](char c) { return is_decimal(c) || c == '.' || c == ','; });
}

bool looks_like_base64(std::string_view t) {
  if (t.size() < base64_suspicious_min) return false;
  const auto body = t.substr(0, t.find_last_not_of('=') + 1);
  if (!std::all_of(body.begin(), body.end(), [](char c) {
        return is_decimal(c) || is_small(c) || is_capital(c) || c == '+' || c == '/' || c == '-' || c == '_';
      }))
    return false;
  return body.size() < t.size() || (std::any_of(body.begin(), body.end(), is_decimal) &&
                                    std::any_of(body.begin(), body.end(), is_small) &&
                                    std::any_of(body.begin(), body.end(), is_capital));
}

/// How the digits were damaged; empty if the text does not look like hexadecimal at all.
std::string hex_damage(std::string_view t) {
  if (is_scientific(t))
    return "the temporary key is a number that a spreadsheet rounded; export the column as text";
  const hex_look look(t);
  if (!look.likely()) return {};
  const auto count = std::to_string(look.size());
  if (look.prefixed) return "the temporary key looks hexadecimal but begins with 0x; write the digits alone";
  if (look.separators > 0)
    return "the temporary key looks hexadecimal but has colons, blanks or the like between the digits; write "
           "the digits alone";
  if (look.mistaken > 0)
    return "the temporary key looks hexadecimal but has the letter O for a 0, or l or I for a 1";
  if (look.digits % 2 != 0)
    return "the temporary key has " + count + " hexadecimal digits, an odd number; was a leading zero lost?";
  if (look.digits < hex_bare_min || look.digits % hex_bare_step != 0)
    return "the temporary key has " + count +
           " hexadecimal digits, an unusual number; were leading zeros lost? If it is right, write it after "
           "hex: or text:";
  return {};
}

bool is_bare_hex(std::string_view t) {
  return t.size() >= hex_bare_min && t.size() % hex_bare_step == 0 && std::all_of(t.begin(), t.end(), is_hex);
}

/// The encoding that the field begins with, and where the key begins.
std::optional<std::pair<key_encoding, std::size_t>> prefix_of(std::string_view t) {
  for (const auto& [word, encoding] : encodings)
    if (t.size() > word.size() && t[word.size()] == ':' &&
        std::equal(word.begin(), word.end(), t.begin(), [](char w, char c) { return w == lower(c); }))
      return std::pair{encoding, word.size() + 1};
  return std::nullopt;
}

std::string read_hex(std::string_view t, secret_bytes& out) {
  auto raw = from_hex(t);
  if (!raw) {
    auto damage = hex_damage(t);
    return damage.empty() ? "the temporary key is not an even number of hexadecimal digits" : damage;
  }
  out = secret_bytes(std::move(*raw));
  return {};
}

std::string read_base64(std::string_view t, secret_bytes& out) {
  auto raw = from_base64(t);
  if (!raw) return "the temporary key is not base64 (RFC 4648, with padding)";
  out = secret_bytes(std::move(*raw));
  return {};
}

/// A field without an encoding.
std::string guess_and_read(std::string_view t, bool stretch, secret_bytes& out) {
  if (is_bare_hex(t)) return read_hex(t, out);
  if (auto damage = hex_damage(t); !damage.empty()) return damage;
  if (looks_like_base64(t))
    return "the temporary key looks like base64; write base64: or text: in front of it";
  if (!stretch && t.size() >= temporary_key_128bit_min)
    return "the temporary key has no encoding; write it as it is in the device after hex:, base64: or text:";
  out = secret_bytes::from_text(t);
  return {};
}

}  // namespace

bool read_key_encoding(std::string_view word, key_encoding& out) {
  out = key_encoding::none;
  if (word.empty()) return true;
  for (const auto& [known, encoding] : encodings)
    if (word == known) out = encoding;
  return out != key_encoding::none;
}

std::string read_key_text(std::string_view text, key_encoding encoding, bool stretch, secret_bytes& out) {
  if (const auto own = prefix_of(text)) {
    if (encoding != key_encoding::none && encoding != own->first)
      return "the temporary key begins with the name of one encoding, and the column encoding has another";
    encoding = own->first;
    text.remove_prefix(own->second);
  }
  std::string wrong;
  switch (encoding) {
  case key_encoding::none: wrong = guess_and_read(text, stretch, out); break;
  case key_encoding::hex: wrong = read_hex(text, out); break;
  case key_encoding::base64: wrong = read_base64(text, out); break;
  case key_encoding::text: out = secret_bytes::from_text(text); break;
  }
  if (!wrong.empty()) return wrong;
  const auto least = stretch ? temporary_key_stretch_min : temporary_key_128bit_min;
  if (out.size() < least)
    return "the temporary key has " + std::to_string(out.size()) + " bytes; " +
           (stretch ? "one that is stretched has" : "128 random bits need") + " at least " +
           std::to_string(least) + (stretch ? "" : " (a weaker one can be imported with strength 'stretch')");
  if (out.size() > temporary_key_max)
    return "the temporary key is longer than " + std::to_string(temporary_key_max) + " bytes";
  return {};
}

bool looks_like_key(std::string_view text) {
  return prefix_of(text) || hex_look(text).likely() || (text.ends_with('=') && looks_like_base64(text));
}

bool is_constant_key(byte_view key, bool stretch) {
  const auto repeats_after = [&](std::size_t period) {
    for (std::size_t i = period; i < key.size(); ++i)
      if (key[i] != key[i - period]) return false;
    return true;
  };
  if (key.size() < 2 || repeats_after(1)) return true;
  if (stretch) return false;
  for (std::size_t period = 2; period <= 8 && period < key.size(); ++period)
    if (repeats_after(period)) return true;
  const auto step = static_cast<std::uint8_t>(key[1] - key[0]);
  for (std::size_t i = 2; i < key.size(); ++i)
    if (static_cast<std::uint8_t>(key[i] - key[i - 1]) != step) return false;
  return true;
}

}  // namespace cpns::server
