#pragma once
// The cryptographic primitives of the protocol behind one interface, so that tests can replace them;
// `openssl_suite` is the production one. Thread-safe: every member may be called from any thread at once.

#include <optional>

#include "base/bytes.hpp"
#include "base/entropy.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::crypto {

using digest = byte_array<32>;

struct x25519_pair {
  secret32 private_key;
  byte_array<32> public_key;
};

class suite {
 public:
  virtual ~suite() = default;

  /// H: SHA-256 (FIPS 180-4).
  [[nodiscard]] virtual digest sha256(byte_view m) const = 0;
  /// M: HMAC-SHA-256 (RFC 2104). The result may be a key or a tag.
  [[nodiscard]] virtual secret32 hmac(byte_view key, byte_view m) const = 0;
  /// Extract: HKDF-Extract (RFC 5869), which is HMAC(salt, ikm).
  [[nodiscard]] secret32 extract(byte_view salt, byte_view ikm) const { return hmac(salt, ikm); }
  /// HKDF-Expand (RFC 5869) into `out`, 1 to 8160 bytes. `info` is the encoded form E(info).
  virtual void expand(const secret32& prk, byte_view info, std::span<std::uint8_t> out) const = 0;
  /// PBKDF2-HMAC-SHA-256 (RFC 8018), 32 bytes.
  [[nodiscard]] virtual secret32 pbkdf2(byte_view password, byte_view salt,
                                        std::uint32_t iterations) const = 0;
  /// AES-256-GCM (SP 800-38D) with a 12-byte nonce: ciphertext, then the 16-byte tag.
  [[nodiscard]] virtual bytes gcm_seal(const secret32& key, const byte_array<12>& nonce, byte_view aad,
                                       byte_view plain) const = 0;
  /// crypto_open_failed if the tag does not verify; plaintext is returned only after that check.
  [[nodiscard]] virtual result<secret_bytes> gcm_open(const secret32& key, const byte_array<12>& nonce,
                                                      byte_view aad, byte_view sealed) const = 0;
  /// X25519 (RFC 7748): the public key of a private one; any 32 bytes are a private key.
  [[nodiscard]] virtual byte_array<32> x25519_public(const secret32& private_key) const = 0;
  /// crypto_weak if the output is all zero (RFC 7748 section 6.1).
  [[nodiscard]] virtual result<secret32> x25519(const secret32& private_key,
                                                const byte_array<32>& peer) const = 0;

  [[nodiscard]] x25519_pair x25519_generate(entropy& random) const {
    x25519_pair pair{random.draw_secret<32>(), {}};
    pair.public_key = x25519_public(pair.private_key);
    return pair;
  }
};

/// The suite built on OpenSSL 3, algorithms fetched once per process.
const suite& openssl_suite();

/// The system's randomness through OpenSSL, drawn in blocks per thread. [thread-safe]
entropy& system_entropy();

}  // namespace cpns::crypto
