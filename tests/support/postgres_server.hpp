#pragma once
// A real PostgreSQL for the tests of one program.

#include <libpq-fe.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/postgres/settings.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::test {

/// Waits until `met` returns true, at most 20 seconds, and returns its last result.
bool comes_true(const std::function<bool()>& met);

/// One connection of a superuser.
class sql_session {
 public:
  sql_session(const std::string& folder, std::uint16_t port, const std::string& database);
  /// Executes SQL; the first column of the first row, or an empty text. A failure fails the test.
  std::string sql(const std::string& text);
  [[nodiscard]] bool connected() const { return PQstatus(raw_.get()) == CONNECTION_OK; }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> raw_;
};

/// A server in a temporary folder, started at the first use and stopped at the end of the program; the kernel stops it
/// if the program crashes. A test that runs as root starts it as the user postgres or nobody. Listens on a Unix socket
/// and on a port of 127.0.0.1 that was free. Aborts the program if PostgreSQL is not installed: scripts/install-deps.
class postgres_server {
 public:
  static postgres_server& instance();
  ~postgres_server();
  postgres_server(const postgres_server&) = delete;
  postgres_server& operator=(const postgres_server&) = delete;

  /// A new, empty database; settings that reach it over the Unix socket as its owner.
  storage::postgres_settings fresh_database();
  /// The same with the tables of a store.
  storage::postgres_settings fresh_store();

  [[nodiscard]] sql_session session(const std::string& database) const { return {data(), port_, database}; }
  /// In a session of its own.
  std::string sql(const std::string& database, const std::string& text) const;
  /// Process ids of the connections of stores to a database.
  [[nodiscard]] std::vector<pid_t> backends(const std::string& database) const;
  /// True when as many connections of stores wait for an event of pg_stat_activity, such as "SyncRep".
  [[nodiscard]] bool waits_for(const std::string& database, const std::string& event,
                               int connections = 1) const;
  /// Commits wait for a standby that does not exist, or not.
  void wait_for_standby(bool on) const;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// The certificate of the CA of its own certificate, which is for localhost.
  [[nodiscard]] std::string ca() const { return (folder_ / "ca.pem").string(); }
  [[nodiscard]] std::string other_ca() const { return (folder_ / "other.pem").string(); }
  /// The folder of the Unix socket.
  [[nodiscard]] std::string data() const { return (folder_ / "data").string(); }

 private:
  postgres_server();
  void initialise();
  void make_certificate();
  /// Tries one; a commit that waits is let through.
  [[nodiscard]] bool commit_waits() const;
  void start();

  temporary_folder folder_;
  std::uint16_t port_ = 0;
  pid_t process_ = 0;
  int databases_ = 0;
};

}  // namespace cpns::test
