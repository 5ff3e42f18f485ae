#include "base/ids.hpp"

#include <algorithm>
#include <array>

#include "base/ascii.hpp"

namespace cpns {
namespace {

// Each check returns the fault, or an empty text.

/// RFC 9039 section 4.1: 12 (EUI-48) or 16 (EUI-64) lower-case hexadecimal digits.
std::string check_mac(std::string_view body) {
  if (body.size() != 12 && body.size() != 16)
    return "must have 12 (EUI-48) or 16 (EUI-64) hexadecimal digits";
  if (!std::all_of(body.begin(), body.end(), is_lower_hex))
    return "has a character other than lower-case hexadecimal digits";
  return {};
}

/// RFC 7254 section 3: TAC-SNR-check digit, "35209900-176148-1"; the last digit is the Luhn check digit of
/// the IMEI.
std::string check_imei(std::string_view body) {
  if (body.size() != 17 || body[8] != '-' || body[15] != '-') return "must have the form TTTTTTTT-SSSSSS-C";
  int sum = 0, position = 0;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (i == 8 || i == 15) continue;
    if (!is_digit(body[i])) return "has a character other than digits";
    int d = body[i] - '0';
    if (position++ % 2 == 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
    sum += d;
  }
  return sum % 10 == 0 ? std::string{} : "has a wrong check digit";
}

/// RFC 9562 section 4: 8-4-4-4-12 lower-case hexadecimal digits; neither the nil nor the max UUID.
std::string check_uuid(std::string_view body) {
  if (body.size() != 36) return "must have 36 characters";
  bool all_zero = true, all_f = true;
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (body[i] != '-') return "must have hyphens after 8, 12, 16 and 20 digits";
      continue;
    }
    if (!is_lower_hex(body[i])) return "has a character other than lower-case hexadecimal digits";
    all_zero = all_zero && body[i] == '0';
    all_f = all_f && body[i] == 'f';
  }
  return all_zero || all_f ? "is the nil or the max UUID" : std::string{};
}

/// RFC 9039 section 4.3: a private enterprise number, '-', a serial of letters, digits, '.', '_' and '-'.
std::string check_os(std::string_view body) {
  const auto hyphen = body.find('-');
  if (hyphen == std::string_view::npos || hyphen == 0 || hyphen + 1 == body.size())
    return "must have the form NUMBER-SERIAL";
  if (hyphen > 10 || body[0] == '0' ||
      !std::all_of(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(hyphen), is_digit))
    return "must begin with a private enterprise number";
  const auto serial = body.substr(hyphen + 1);
  const auto fits = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
  return std::all_of(serial.begin(), serial.end(), fits)
             ? std::string{}
             : "has a serial with a character that is not allowed";
}

struct scheme {
  std::string_view prefix;
  std::string (*check)(std::string_view body);
};

constexpr std::array<scheme, 4> schemes{{
    {"urn:dev:mac:", check_mac},
    {"urn:gsma:imei:", check_imei},
    {"urn:uuid:", check_uuid},
    {"urn:dev:os:", check_os},
}};

/// Printable ASCII, shortened, so that hostile text never reaches a terminal unchanged.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text.substr(0, 70)) out += c > ' ' && c < 0x7f && c != '\'' ? c : '?';
  return out + (text.size() > 70 ? "...'" : "'");
}

}  // namespace

std::string entity_id::fault_of(std::string_view text) {
  if (text.empty() || text.size() > max_size)
    return "must have 1 to 64 bytes, and has " + std::to_string(text.size());
  for (const auto& s : schemes)
    if (text.starts_with(s.prefix)) return s.check(text.substr(s.prefix.size()));
  return "has no known scheme (urn:dev:mac:, urn:gsma:imei:, urn:uuid:, urn:dev:os:)";
}

result<entity_id> entity_id::parse(std::string_view text) {
  if (auto wrong = fault_of(text); !wrong.empty())
    return fail(errc::wire_grammar, "Entity ID " + quoted(text) + " " + wrong);
  return entity_id{std::string{text}};
}

std::string user_id::fault_of(std::string_view text) {
  if (text.empty() || text.size() > max_size)
    return "must have 1 to 64 bytes, and has " + std::to_string(text.size());
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; }))
    return "has a character other than printable ASCII";
  return {};
}

result<user_id> user_id::parse(std::string_view text) {
  if (auto wrong = fault_of(text); !wrong.empty())
    return fail(errc::wire_grammar, "CPNS User ID " + quoted(text) + " " + wrong);
  return user_id{std::string{text}};
}

}  // namespace cpns
