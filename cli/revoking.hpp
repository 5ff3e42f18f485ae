#pragma once
// Revocation by the development CA that `cpns init` makes, for `cpns ca revoke`: the list ca.crl beside ca.pem.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/pki.hpp"

namespace cpns::cli {

/// Days that a list is valid unless others are given, or until the CA ends if that is earlier.
inline constexpr unsigned crl_days = 365;

/// One of name, certificate and serial; none of them: the list is only written again.
struct revoke_options {
  std::filesystem::path ca{};           ///< folder with ca.pem and ca.key
  std::string name{};                   ///< of a certificate NAME.pem in `ca`
  std::filesystem::path certificate{};  ///< its file
  std::string serial{};                 ///< its serial number: hexadecimal digits, colons are left out
  std::optional<unsigned> days{};       ///< 1 to 3650; nullopt: crl_days
};

struct revoke_outcome {
  std::filesystem::path crl;
  std::string serial;    ///< of the certificate; empty if the list was only written again
  std::string name;      ///< its SAN URI; empty if it was named by its serial number
  bool already = false;  ///< it was in the list
  std::size_t revoked = 0;
  std::size_t others = 0;  ///< lists of other CAs in the file, which are kept
  time_point to;           ///< the end of the list
};

/// Adds the certificate to ca.crl, which is made if it is missing, and signs the list again. Lists of other CAs in the file
/// are kept. The file is complete and
/// durable before it has its name. config_usage (a bad option), config_file, crypto_certificate (the CA cannot sign, it
/// did not issue the certificate, or ca.crl is not one of its lists), state_conflict (another call is running).
result<revoke_outcome> revoke_certificate(const revoke_options& options, time_point now = now_wall());

/// A list without an entry, PEM, that is valid from `now` until the CA ends.
result<std::string> empty_crl(const crypto::identity& ca, time_point now);

}  // namespace cpns::cli
