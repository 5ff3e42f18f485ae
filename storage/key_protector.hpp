#pragma once
// Wraps data keys under a key-encryption key that is stored elsewhere. The wrapping is bound to a purpose, so that
// the data key of one file cannot replace that of another.
//
// A wrapped key is E([1, kind, salt or null, iterations or null, XAES-256-GCM of the key]), with
// AAD = E(["cpns/1 data key", purpose, kind, salt or null, iterations or null]).

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/entropy.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::storage {

/// The numbers are part of the wrapped format.
enum class protector_kind : std::uint8_t { file = 1, passphrase = 2 };

std::string_view name_of(protector_kind kind);

/// [thread-safe] if the entropy argument is.
class key_protector {
 public:
  virtual ~key_protector() = default;
  [[nodiscard]] virtual result<bytes> wrap(const secret32& data_key, std::string_view purpose,
                                           entropy& random) const = 0;
  /// store_key with a message for the operator: wrong kind of protector, wrong key, or damaged wrapping.
  [[nodiscard]] virtual result<secret32> unwrap(byte_view wrapped, std::string_view purpose) const = 0;
  /// The source of the key for messages, such as "the key file /etc/cpns/server.key".
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// Creates a key file: 32 random bytes as 64 hexadecimal digits and a line end, mode 0600, durable on return.
/// Atomic, and never replaces a file (state_exists). Other errors: config_file, store_full.
status create_key_file(const std::filesystem::path& path, entropy& random);

/// Reads a key file. store_key if it is missing, is not a regular file, has the wrong mode
/// (base/private_file.hpp), or does not contain exactly 64 hexadecimal digits.
result<std::unique_ptr<key_protector>> open_key_file(const std::filesystem::path& path);

/// Wraps under `key`, which the caller has from `source`, such as a data key that wraps others.
std::unique_ptr<key_protector> make_key_protector(const secret32& key, std::filesystem::path source);

inline constexpr std::uint32_t passphrase_iterations = 600'000;

/// PBKDF2-HMAC-SHA-256 with 600,000 iterations: about 150 ms at the first use of each salt; the wrapped key
/// contains the salt. store_key if the passphrase is empty.
result<std::unique_ptr<key_protector>> make_passphrase_protector(secret_bytes passphrase);

}  // namespace cpns::storage
