#pragma once
// One connection to a server, by libpq. Every call has a limit of its own in this process: a frozen server that still
// acknowledges TCP is noticed by nothing else, and libpq's connect_timeout does not apply to non-blocking attempts.

#include <chrono>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "storage/postgres/binary.hpp"
#include "storage/postgres/failure.hpp"
#include "storage/postgres/settings.hpp"

namespace cpns::storage::postgres {

/// A statement, prepared once per connection under its name; without a name: sent once. Must outlive the connections.
struct statement {
  std::string name;
  std::string sql;
};

/// A statement with its parameters in binary form.
struct query {
  const statement* what = nullptr;
  std::vector<std::string> parameters;
};

struct end_connection {
  void operator()(PGconn* c) const noexcept { PQfinish(c); }
};

/// Not thread-safe: one call at a time.
class connection {
 public:
  using steady = std::chrono::steady_clock;

  /// Connects to one host, which must accept writes. trouble::unreachable; trouble::other if the password file cannot be
  /// read. Waits at most settings.dial, and as long as the name servers take for a host that has a name.
  static outcome<std::unique_ptr<connection>> dial(const postgres_settings& s, std::size_t host);
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;

  /// Sends the queries in one pipeline with one synchronisation: without a BEGIN among them they are one transaction.
  /// Their replies, in order. After a failure that ends_connection() the connection is closed. A warning counts as a lost
  /// answer: the server warns when it stopped waiting for a standby although the commit is done. Statements are never
  /// cancelled, because a cancelled wait for a standby looks like success.
  outcome<std::vector<reply>> run(std::span<const query> queries, milliseconds limit);

  /// Payloads of notifications that this connection listens to: those that have come, else waits for the first one, for
  /// `until`, or until the descriptor `wake` can be read. trouble::lost.
  outcome<std::vector<std::string>> notifications(int wake, steady::time_point until);

  [[nodiscard]] std::size_t host() const { return host_; }
  [[nodiscard]] bool open() const { return raw_ != nullptr; }

 private:
  class pipeline;
  connection(std::unique_ptr<PGconn, end_connection> raw, std::size_t host, std::string where)
      : host_(host), where_(std::move(where)), raw_(std::move(raw)) {}
  static void take_notice(void* self, const PGresult* notice);
  /// Closes the connection, except after an error of a statement.
  failure end(failure why);
  /// False: `until` has passed.
  bool wait(short events, steady::time_point until) const;

  const std::size_t host_;
  const std::string where_;
  std::unique_ptr<PGconn, end_connection> raw_;
  std::set<std::string, std::less<>> prepared_;
  bool warned_ = false;
};

}  // namespace cpns::storage::postgres
