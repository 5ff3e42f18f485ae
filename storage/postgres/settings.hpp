#pragma once
// How a store reaches its PostgreSQL.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace cpns::storage {

/// One server of the database, or a proxy in front of all.
struct postgres_host {
  std::string host;  ///< a name, an address, or the folder of a Unix socket (begins with /)
  std::uint16_t port = 5432;
};

enum class postgres_tls : std::uint8_t { disable, require, verify_ca, verify_full };
/// "verify-full", as libpq and the configuration spell it.
std::string_view name_of(postgres_tls mode);

enum class postgres_statements : std::uint8_t {
  batch,     ///< PostgreSQL: many rows per statement
  portable,  ///< engines that speak PostgreSQL's protocol: one row per statement
};
/// "batch", "portable".
std::string_view name_of(postgres_statements kind);

struct postgres_settings {
  std::vector<postgres_host> hosts;
  std::string database = "cpns";
  std::string user = "cpns";
  std::filesystem::path password_file;  ///< one line; empty: the server asks for no password
  postgres_tls tls = postgres_tls::verify_full;
  std::filesystem::path root_certificate;  ///< of the server's CA, for verify-ca and verify-full
  postgres_statements statements = postgres_statements::batch;
  milliseconds dial{2000};       ///< limit of one attempt to connect to one host
  milliseconds statement{2000};  ///< limit of one round trip; the connection is closed after it
  milliseconds retry{2000};      ///< a call that changed nothing yet is tried again for this time
  milliseconds doubt{
      10'000};              ///< so long a write without an answer is repeated before its outcome is left open
  std::size_t readers = 2;  ///< connections for reads, at most
  /// Connections for writes, at most: two for the committer, and one for short calls, such as the question whether the
  /// database accepts writes.
  std::size_t writers = 3;
};

/// config_range, with the remedy: no host, a text that libpq would not take as it is, or a TLS mode other than
/// verify-full for a host that is neither a Unix socket nor this machine. config_missing: verify-full without the
/// certificate of a CA.
status check(const postgres_settings& s);

/// "database host 2 of 3": messages do not show addresses and names of accounts.
std::string shown_host(const postgres_settings& s, std::size_t index);

}  // namespace cpns::storage
