#pragma once
// Connections that are shared by threads, and the choice of the host to connect to.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/postgres/connection.hpp"

namespace cpns::storage::postgres {

/// A host that missed a limit may still accept connections: a frozen one, or a former primary that was cut off from its
/// cluster. A client that tries its hosts in a fixed order could return to it forever. [thread-safe]
class dialer {
 public:
  /// `s` must outlive the dialer.
  explicit dialer(const postgres_settings& s);
  /// Tries each host once, one after the other, beginning with the one that worked last. Errors of connection::dial for
  /// the last host.
  outcome<std::unique_ptr<connection>> dial();
  /// The host failed: the next attempts begin behind it, and connections to it are not used again.
  void suspect(std::size_t host);
  /// The host with which the next attempts begin; nullopt: it did not work since it was chosen.
  [[nodiscard]] std::optional<std::size_t> in_use() const;
  /// Rises with each suspicion.
  [[nodiscard]] std::uint64_t suspicions() const;

 private:
  [[nodiscard]] std::size_t place_of(std::size_t attempt) const;
  const postgres_settings& settings_;
  mutable std::mutex mutex_;
  std::vector<std::size_t> order_;  ///< hosts, shuffled: the nodes of a cluster do not all begin with one
  std::size_t first_ = 0;           ///< index into order_
  bool works_ = false;              ///< a connection to it was made, and it was not suspected since
  std::uint64_t suspicions_ = 0;
};

/// At most `limit` connections, each used by one thread at a time. [thread-safe]
class connection_pool {
 public:
  using steady = connection::steady;

  /// One connection, returned on destruction; it is closed if it failed.
  class lease {
   public:
    lease(connection_pool& from, std::unique_ptr<connection> held, std::uint64_t since)
        : from_(&from), held_(std::move(held)), since_(since) {}
    lease(lease&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)), held_(std::move(other.held_)), since_(other.since_) {}
    lease& operator=(lease&&) = delete;
    ~lease();
    connection* operator->() const { return held_.get(); }
    connection& operator*() const { return *held_; }
    /// For a failure that ends_connection().
    void give_up();

   private:
    connection_pool* from_;
    std::unique_ptr<connection> held_;
    std::uint64_t since_;
  };

  /// `by` must outlive the pool, and the pool its leases.
  connection_pool(dialer& by, std::size_t limit) : dialer_(by), limit_(limit) {}
  /// An idle connection, or a new one. trouble::unreachable if all connections are in use until `until`, or if no host
  /// accepts one.
  outcome<lease> take(steady::time_point until);

 private:
  struct idle {
    std::unique_ptr<connection> held;
    std::uint64_t since = 0;  ///< suspicions when it was made
  };
  void put_back(std::unique_ptr<connection> held, std::uint64_t since);

  dialer& dialer_;
  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<idle> idle_;
  std::size_t in_use_ = 0;
};

}  // namespace cpns::storage::postgres
