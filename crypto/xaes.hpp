#pragma once
// XAES-256-GCM (C2SP) seals the records of all stores: AES-256-GCM with a key derived from the first half of a
// random 24-byte nonce, so that one key seals any number of records.

#include <memory>
#include <span>

#include "base/bytes.hpp"
#include "base/entropy.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::crypto {

inline constexpr std::size_t xaes_nonce_size = 24;
inline constexpr std::size_t xaes_tag_size = 16;
/// A sealed record is this much longer than its plaintext.
inline constexpr std::size_t xaes_overhead = xaes_nonce_size + xaes_tag_size;

// For a few records. Thread-safe; no memory keeps the key afterwards.

/// nonce(24) || ciphertext || tag(16), with a fresh nonce from `random`. `plain` is at most 1 GiB.
bytes xaes_seal(const secret32& key, entropy& random, byte_view aad, byte_view plain);
/// As xaes_seal, with the nonce as an argument, for published vectors. Never seal twice with one nonce.
bytes xaes_seal_with(const secret32& key, const byte_array<xaes_nonce_size>& nonce, byte_view aad,
                     byte_view plain);
/// crypto_open_failed if `sealed` is too short, was changed, or belongs to another key or `aad`.
result<secret_bytes> xaes_open(const secret32& key, byte_view aad, byte_view sealed);

/// The same with a key that stays, for a store that seals thousands of records a second and keeps its key in memory
/// anyway. Not thread-safe.
class xaes_key {
 public:
  explicit xaes_key(const secret32& key);
  ~xaes_key();
  xaes_key(const xaes_key&) = delete;
  xaes_key& operator=(const xaes_key&) = delete;

  /// Seals a record in place. It begins with the nonce, then comes the plaintext, then xaes_tag_size bytes for the tag.
  void seal(byte_view aad, std::span<std::uint8_t> record);
  /// Opens a record of xaes_overhead bytes or more into `plain`, which has xaes_overhead bytes less. False as the error
  /// of xaes_open: then `plain` is wiped.
  [[nodiscard]] bool open(byte_view aad, byte_view sealed, std::span<std::uint8_t> plain);
  /// Each record has a key of its own, which stays in memory until the next one, or until this call.
  void forget_record() noexcept;

 private:
  struct context;
  const std::unique_ptr<context> context_;
};

}  // namespace cpns::crypto
