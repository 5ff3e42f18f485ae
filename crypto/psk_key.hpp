#pragma once
// The key of a gateway without a certificate (tls_psk.hpp).

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/entropy.hpp"
#include "base/psk_identity.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/key_schedule.hpp"

namespace cpns::crypto {

inline constexpr std::size_t psk_key_min = 32, psk_key_max = 64;

/// The kind of the gateway that a name means: psk for an identity, x509 for all else.
inline gateway_kind kind_of_gateway(std::string_view name) {
  return is_psk_identity(name) ? gateway_kind::psk : gateway_kind::x509;
}

/// A random key of one gateway, 32 to 64 bytes; equal ones compare in constant time.
class psk_key {
 public:
  /// 32 bytes.
  static psk_key draw(entropy& random);
  /// Lower-case hexadecimal digits. crypto_weak: not 32 to 64 bytes; config_range: other characters. The detail never
  /// has a part of the text.
  static result<psk_key> parse(std::string_view digits);
  /// crypto_weak if it does not have 32 to 64 bytes.
  static result<psk_key> from(secret_bytes raw);
  /// A file with the digits and a line end. config_file, config_range, crypto_weak; the detail names the file.
  static result<psk_key> read(const std::filesystem::path& file);

  [[nodiscard]] byte_view expose() const { return raw_.expose(); }
  /// The digits, without a line end.
  [[nodiscard]] secret_bytes text() const;
  friend bool operator==(const psk_key& a, const psk_key& b) { return a.raw_ == b.raw_; }

 private:
  explicit psk_key(secret_bytes raw) : raw_(std::move(raw)) {}
  secret_bytes raw_;
};

}  // namespace cpns::crypto
