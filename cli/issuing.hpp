#pragma once
// Certificates from the development CA that `cpns init` makes, for `cpns ca issue`.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/pki.hpp"

namespace cpns::cli {

/// Days that a certificate of `cpns init` and of `cpns ca issue` is valid; its CA is valid one day longer.
inline constexpr unsigned certificate_days = 824;

enum class certificate_kind : std::uint8_t { gateway, server, admin };

struct issue_options {
  certificate_kind kind = certificate_kind::gateway;
  std::string name;                       ///< as of a role, see config::wrong_name
  std::filesystem::path ca{};             ///< folder with ca.pem and ca.key
  std::filesystem::path out{};            ///< folder of the new files; empty: `ca`
  std::optional<unsigned> days{};         ///< 1 to 3650; nullopt: certificate_days, or until the CA ends
  std::vector<std::string> dns{}, ips{};  ///< of a server only; both empty: localhost and its addresses
  std::filesystem::path csr{};  ///< PEM request for a key that stays elsewhere; empty: a new key is made
  bool replace = false;         ///< existing files
};

struct issued_files {
  std::filesystem::path certificate;
  std::filesystem::path key;  ///< empty if it stays elsewhere
  std::string uri;
  time_point not_after;
};

/// Writes NAME.pem and NAME.key, or neither. config_usage (a bad option, days beyond the end of the CA),
/// config_file, state_exists, crypto_certificate (the CA cannot issue, or the CSR cannot be used), crypto_weak (the
/// key of the CSR).
result<issued_files> issue_certificate(const issue_options& options, time_point now = now_wall());

/// The development CA in a folder.
struct open_ca {
  crypto::identity id;
  crypto::validity dates;
};
/// ca.pem and ca.key in `folder`. config_file, or crypto_certificate if they are not those of a CA that is valid at
/// `now`.
result<open_ca> open_ca_in(const std::filesystem::path& folder, time_point now);

struct new_file {
  std::filesystem::path path;
  byte_view content;
  mode_t mode;
};
/// Writes all files or none, each one complete and durable before it has its name. They get their names in this
/// order: with the key first, a crash leaves no new certificate without its key. state_exists if one exists and
/// `replace` is not set; config_file. `placed` is for tests: it is called whenever a file has its name.
status write_together(const std::vector<new_file>& files, bool replace,
                      const std::function<void(const std::filesystem::path&)>& placed = {});

}  // namespace cpns::cli
