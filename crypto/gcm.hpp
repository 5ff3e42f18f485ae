#pragma once
// AES-256-GCM on contexts of OpenSSL. Private to crypto/: public headers must not include it.

#include "base/secret.hpp"
#include "crypto/openssl_handles.hpp"

namespace cpns::crypto::detail {

inline constexpr std::size_t gcm_tag_size = 16;

/// Creating a context costs more than the operation, and naming the cipher again as much. So this has one for each
/// direction, and each operation brings its key. Not thread-safe.
class gcm {
 public:
  gcm();

  /// Ciphertext and tag into `out`, which has gcm_tag_size bytes more than `plain` and may begin at the same byte.
  void seal(const secret32& key, const byte_array<12>& nonce, byte_view aad, byte_view plain,
            std::span<std::uint8_t> out) const;
  /// The reverse; `sealed` has a tag. False if that does not verify: then `out` is wiped.
  [[nodiscard]] bool open(const secret32& key, const byte_array<12>& nonce, byte_view aad, byte_view sealed,
                          std::span<std::uint8_t> out) const;
  /// A context keeps the key of its last operation until the next one; this overwrites both.
  void forget() const noexcept;

 private:
  cipher_ctx_ptr seal_{EVP_CIPHER_CTX_new()}, open_{EVP_CIPHER_CTX_new()};
  mutable bool sealed_ = false, opened_ = false;  ///< since the last forget()
};

}  // namespace cpns::crypto::detail
