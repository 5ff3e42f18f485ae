#include "config/store_checks.hpp"

#include <algorithm>
#include <charconv>

#include "config/describe.hpp"

namespace cpns::config {
namespace {

/// By its text alone: the file is checked without the machine that it is for.
bool is_this_machine(std::string_view host) {
  const bool is_address = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || host == "::1" || (is_address && host.starts_with("127."));
}

/// A port, in all of `text`.
bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failed == std::errc{} && end == text.data() + text.size() && port != 0;
}

/// A name that no connection string of libpq could be.
void check_database_name(const std::string& text, const std::string& key, const report_fn& report) {
  constexpr std::size_t bytes_max = 63;  // NAMEDATALEN - 1
  const auto plain = [](char c) { return c > ' ' && c < 0x7f && c != '=' && c != ',' && c != '/'; };
  if (text.empty() || text.size() > bytes_max || !std::all_of(text.begin(), text.end(), plain))
    report(key, errc::config_range,
           "'" + key + "' must be 1 to 63 printable characters without space, comma, '=' and '/'");
}

void check_hosts(const postgresql_config& c, const report_fn& report) {
  const std::string at = "store.postgresql.";
  for (std::size_t i = 0; i < c.hosts.size(); ++i) {
    const auto key = at + "hosts[" + std::to_string(i) + "]";
    if (c.hosts[i].port == 0)
      report(key, errc::config_range, "'" + key + "' must have a port from 1 to 65535, not 0");
    if (is_this_machine(c.hosts[i].host)) continue;
    if (c.tls != database_tls::verify_full)
      report(at + "tls", errc::config_range,
             "'store.postgresql.tls' must be verify-full, because " + c.hosts[i].text() +
                 " is another machine: without it others could take the place of the database");
    if (c.ca.empty())
      report(at + "ca", errc::config_missing,
             "'store.postgresql.ca' is missing: verify-full needs the authority that signed the certificate "
             "of " +
                 c.hosts[i].text());
  }
}

void check_socket(const postgresql_config& c, const report_fn& report) {
  constexpr std::string_view beginning = ".s.PGSQL.";
  const auto name = c.socket.filename().string();
  if (!name.starts_with(beginning) || !is_port(std::string_view{name}.substr(beginning.size())))
    report("store.postgresql.socket", errc::config_range,
           "'store.postgresql.socket' must be the file of PostgreSQL's socket, whose name is .s.PGSQL. and "
           "the port, for example /run/postgresql/.s.PGSQL.5432");
}

void check_postgresql(const store_config& c, const report_fn& report) {
  if (!c.postgresql)
    return report("store.postgresql", errc::config_missing,
                  "'store.postgresql' is missing: it names the database");
  const auto& p = *c.postgresql;
  if (p.hosts.empty() == p.socket.empty())
    report("store.postgresql", p.socket.empty() ? errc::config_missing : errc::config_range,
           "'store.postgresql' must have either 'hosts' or 'socket'");
  check_hosts(p, report);
  if (!p.socket.empty()) check_socket(p, report);
  check_database_name(p.database, "store.postgresql.database", report);
  check_database_name(p.user, "store.postgresql.user", report);
}

void check_store(const store_config& c, const report_fn& report) {
  if (c.kind == store_kind::rocksdb && c.path.empty())
    report("store.path", errc::config_missing, "'store.path' is missing: a rocksdb store needs a folder");
  if (c.kind == store_kind::postgresql && c.path.empty())
    report("store.path", errc::config_missing,
           "'store.path' is missing: a server with a database needs a folder for its lock");
  if (c.kind != store_kind::postgresql && c.postgresql)
    report("store.postgresql", errc::config_range,
           "'store.postgresql' has no meaning for a " + std::string(word_of(c.kind)) +
               " store; remove it, or set 'store.kind' to postgresql");
  if (c.kind == store_kind::memory && !c.path.empty())
    report("store.path", errc::config_range, "'store.path' has no meaning for a memory store; remove it");
}

}  // namespace

void check_server_store(const store_config& c, const report_fn& report) {
  check_store(c, report);
  if (c.kind == store_kind::postgresql) check_postgresql(c, report);
}

void check_gateway_store(const store_config& c, const report_fn& report) {
  check_store(c, report);
  if (c.kind == store_kind::postgresql || c.postgresql)
    report(c.kind == store_kind::postgresql ? "store.kind" : "store.postgresql", errc::config_range,
           "'store': a gateway keeps its keys on its own machine; 'postgresql' is for servers, use rocksdb");
}

}  // namespace cpns::config
