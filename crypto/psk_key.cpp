#include "crypto/psk_key.hpp"

#include <algorithm>

#include "base/private_file.hpp"

namespace cpns::crypto {
namespace {

bool is_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
std::uint8_t value_of(char c) { return static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

}  // namespace

psk_key psk_key::draw(entropy& random) {
  return psk_key{secret_bytes{byte_view{random.draw_secret<psk_key_min>().expose()}}};
}

result<psk_key> psk_key::from(secret_bytes raw) {
  if (raw.size() < psk_key_min || raw.size() > psk_key_max)
    return fail(errc::crypto_weak, "a pre-shared key has 32 to 64 bytes, not " + std::to_string(raw.size()));
  return psk_key{std::move(raw)};
}

result<psk_key> psk_key::parse(std::string_view digits) {
  if (!std::all_of(digits.begin(), digits.end(), is_digit) || digits.size() % 2 != 0)
    return fail(errc::config_range,
                "a pre-shared key is an even number of lower-case hexadecimal digits and nothing else");
  bytes raw(digits.size() / 2);
  for (std::size_t i = 0; i < raw.size(); ++i)
    raw[i] = static_cast<std::uint8_t>(value_of(digits[2 * i]) << 4 | value_of(digits[2 * i + 1]));
  return from(secret_bytes{std::move(raw)});
}

result<psk_key> psk_key::read(const std::filesystem::path& file) {
  constexpr std::size_t file_max = 2 * psk_key_max + 1;
  CPNS_TRY(const auto content, read_private_file(file, file_max));
  auto digits = as_text(content.expose());
  if (digits.ends_with('\n')) digits.remove_suffix(1);
  auto key = parse(digits);
  if (!key)
    return fail(key.error().code, file.string() + ": " + key.error().detail +
                                      "; take the file that 'cpns gateways key' wrote on the server");
  return key;
}

secret_bytes psk_key::text() const {
  constexpr std::string_view digits = "0123456789abcdef";
  bytes out;
  out.reserve(2 * raw_.size());
  for (const auto b : raw_.expose()) {
    out.push_back(static_cast<std::uint8_t>(digits[b >> 4]));
    out.push_back(static_cast<std::uint8_t>(digits[b & 15]));
  }
  return secret_bytes{std::move(out)};
}

}  // namespace cpns::crypto
