#pragma once
// A proxy between a store and its PostgreSQL, for tests of what a database can do wrong at any moment.

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/descriptor.hpp"
#include "storage/postgres/settings.hpp"

namespace cpns::test {

/// A message of the client. `type` is that of the protocol: P parse, B bind, D describe, E execute, S synchronise, Q simple
/// query; A is the start of a connection. `statement` is the name of the prepared statement, or its SQL if it has no name;
/// of a synchronisation it is the first statement of its pipeline.
struct postgres_message {
  char type = 0;
  std::string statement;
  bool operator==(const postgres_message&) const = default;
};

/// What happens at one message.
struct postgres_fault {
  enum class deed : std::uint8_t {
    refuse,  ///< the server does not do it, and reports `sqlstate`; everything up to the synchronisation is skipped
    lose,    ///< the server does it, and the connection ends instead of the answer
    half,    ///< the server does it, and the connection ends in the middle of the last message of the answer
    report,  ///< as lose, with an error that ends the connection: `sqlstate`
    doubt,   ///< the server does it, and the answer is the error `sqlstate`
    warn,    ///< the server does it, and warns before the answer
    hold,    ///< the answer comes later by `time`
  };
  postgres_message at;    ///< an empty statement: any
  std::size_t after = 0;  ///< so many such messages pass first
  std::size_t times = 1;  ///< so many messages after them are hit
  deed does = deed::refuse;
  std::string sqlstate{};
  bool fatal = false;  ///< of refuse: the server ends the connection after its error
  milliseconds time{0};
};

/// Passes the messages of any number of connections on, without TLS. What it refuses it replaces by a message that the
/// server cannot understand, and changes the error that comes back: so the real server aborts the real transaction. One
/// thread per connection. [thread-safe]
class postgres_proxy {
 public:
  /// Listens on a port of 127.0.0.1. `behind`: a server that it reaches without TLS; not a Unix socket.
  explicit postgres_proxy(std::uint16_t behind);
  ~postgres_proxy();
  postgres_proxy(const postgres_proxy&) = delete;
  postgres_proxy& operator=(const postgres_proxy&) = delete;

  /// The same database, through the proxy.
  [[nodiscard]] storage::postgres_settings through(storage::postgres_settings s) const;

  /// Replaces the faults, and forgets the messages.
  void arm(std::vector<postgres_fault> faults);
  /// How many of the faults that were armed did not happen as often as they should.
  [[nodiscard]] std::size_t left() const;
  /// The messages since the last arm().
  [[nodiscard]] std::vector<postgres_message> heard() const;
  /// Nothing passes, and all sockets stay open; new connections are accepted by the kernel alone.
  void freeze(bool on) { frozen_ = on; }
  /// Ends all connections.
  void cut();

 private:
  struct link;
  void accept_all();
  std::optional<postgres_fault> take(const postgres_message& m);

  const std::uint16_t behind_;
  descriptor listening_;
  std::uint16_t port_ = 0;
  std::atomic<bool> frozen_{false}, stopping_{false};
  mutable std::mutex mutex_;
  std::vector<postgres_fault> faults_;
  std::vector<postgres_message> heard_;
  std::list<std::unique_ptr<link>> links_;
  std::thread acceptor_;
};

}  // namespace cpns::test
