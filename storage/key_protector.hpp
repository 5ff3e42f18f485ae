#pragma once
// Wraps data keys under a key-encryption key that is kept elsewhere. What is wrapped names its purpose, so
// that the data key of one file cannot be put in the place of another's.
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

/// The numbers are part of the wrapped form.
enum class protector_kind : std::uint8_t { file = 1, passphrase = 2 };

std::string_view name_of(protector_kind kind);

/// [thread-safe] as far as the entropy handed in is.
class key_protector {
 public:
  virtual ~key_protector() = default;
  [[nodiscard]] virtual result<bytes> wrap(const secret32& data_key, std::string_view purpose,
                                           entropy& random) const = 0;
  /// store_key with words for the operator: another kind of protector, another key, or a damaged wrapping.
  [[nodiscard]] virtual result<secret32> unwrap(byte_view wrapped, std::string_view purpose) const = 0;
  /// What holds the key, for messages: "the key file /etc/cpns/server.key".
  [[nodiscard]] virtual std::string describe() const = 0;
};

/// Makes a key file: 32 random bytes as 64 hexadecimal digits and a line end, mode 0600, durable on return.
/// It appears whole or not at all, and never replaces a file: state_exists. config_file or store_full
/// otherwise.
status create_key_file(const std::filesystem::path& path, entropy& random);

/// Reads a key file. store_key if it is missing, is no regular file, may be read or written by group or
/// others, or does not hold 64 hexadecimal digits.
result<std::unique_ptr<key_protector>> open_key_file(const std::filesystem::path& path);

inline constexpr std::uint32_t passphrase_iterations = 600'000;

/// PBKDF2-HMAC-SHA-256 with 600,000 iterations: some 150 ms at the first use of each salt, which the wrapped
/// key brings along. store_key if the passphrase is empty.
result<std::unique_ptr<key_protector>> make_passphrase_protector(secret_bytes passphrase);

}  // namespace cpns::storage
