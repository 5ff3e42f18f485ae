#include "storage/postgres/settings.hpp"

#include <algorithm>
#include <arpa/inet.h>

namespace cpns::storage {

namespace {

constexpr std::size_t name_bytes_max = 255;

bool is_local(const std::string& host) {
  if (host.starts_with("/") || host == "localhost") return true;
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/// libpq takes a list of hosts in one text, and a connection string for the name of a database.
bool is_plain(const std::string& text) {
  return !text.empty() && text.size() <= name_bytes_max &&
         text.find_first_of(std::string_view(",=\0\n\r", 5)) == std::string::npos &&
         text.find("://") == std::string::npos;
}

status check_host(const postgres_settings& s, std::size_t index) {
  const auto& h = s.hosts[index];
  const auto where = shown_host(s, index);
  if (!is_plain(h.host) || h.host.starts_with("@"))
    return fail(errc::config_range, where + ": write one name, one address or the folder of a Unix socket");
  if (h.port == 0) return fail(errc::config_range, where + ": the port must not be 0");
  if (!is_local(h.host) && s.tls != postgres_tls::verify_full)
    return fail(errc::config_range,
                where + " is on another machine, which needs verify-full, not " +
                    std::string(name_of(s.tls)) +
                    ": others could read and change rows on their way, or take the place of the server");
  return {};
}

bool is_remote(const postgres_host& h) { return !is_local(h.host); }

}  // namespace

std::string_view name_of(postgres_tls mode) {
  switch (mode) {
  case postgres_tls::disable: return "disable";
  case postgres_tls::require: return "require";
  case postgres_tls::verify_ca: return "verify-ca";
  case postgres_tls::verify_full: break;
  }
  return "verify-full";
}

std::string_view name_of(postgres_statements kind) {
  return kind == postgres_statements::batch ? "batch" : "portable";
}

status check(const postgres_settings& s) {
  if (s.hosts.empty()) return fail(errc::config_missing, "name at least one host of the database");
  for (std::size_t i = 0; i < s.hosts.size(); ++i) CPNS_CHECK(check_host(s, i));
  if (!is_plain(s.database) || !is_plain(s.user))
    return fail(errc::config_range,
                "the names of the database and of its user have 1 to 255 bytes, and no comma, "
                "equals sign or line break");
  if (s.readers == 0 || s.writers == 0)
    return fail(errc::config_range, "a store needs at least one connection for reads and one for writes");
  const bool remote = std::any_of(s.hosts.begin(), s.hosts.end(), is_remote);
  if (remote && s.root_certificate.empty())
    return fail(errc::config_missing, "verify-full needs the certificate of the CA that signed the server's");
  return {};
}

std::string shown_host(const postgres_settings& s, std::size_t index) {
  if (s.hosts.size() == 1) return "the database host";
  return "database host " + std::to_string(index + 1) + " of " + std::to_string(s.hosts.size());
}

}  // namespace cpns::storage
