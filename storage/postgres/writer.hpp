#pragma once
// The write path of a PostgreSQL store: transactions, retries, and writes whose outcome is in doubt.

#include <span>
#include <vector>

#include "storage/postgres/reader.hpp"

namespace cpns::storage::postgres {

/// The batches of one transaction, by index.
struct unit {
  std::vector<std::size_t> batches;  ///< in the order of their rows
  bool alone =
      false;  ///< one batch of several rows, all of which or none change; otherwise one row of a batch can be refused
  bool doubtful = false;  ///< an attempt may have taken effect
};

/// The transactions of a call, in an order in which each batch sees those before it. Batches of which one row can be refused
/// share one until a row comes again. Skips the empty batches and those that `checked` refuses.
std::vector<unit> units_of(std::span<const write_batch> batches, const std::vector<status>& checked);

/// A write of which no answer came may be committed, or may be committed later, by a server that still waits for a
/// standby. A read cannot decide this: the row becomes visible when that wait ends. The same conditional write, repeated
/// on a new connection, does: it waits for the lock of the first attempt, and then takes effect or is refused for good.
/// If it is refused because the first attempt took effect, one more write must become durable before the answer: a
/// server that stopped waiting shows rows that no standby has.
///
/// For one call. Not thread-safe.
class writer {
 public:
  writer(connection_pool& pool, const statement_set& sql, const postgres_settings& s)
      : pool_(pool), sql_(sql), settings_(s), began_(connection::steady::now()) {}

  /// As store::write.
  std::vector<status> write(std::span<const write_batch> batches);

 private:
  using flags = std::vector<bool>;

  void run(unit u);
  /// Whether the failure may be due to one batch of several.
  static bool is_of_one(const unit& u, const failure& why);
  /// Decides batches of `u` and removes them from it; after success none is left.
  outcome<void> attempt(unit& u);
  outcome<void> decide(connection& on, unit& u);
  /// Which batches of `u` took effect.
  outcome<flags> send(connection& on, const unit& u);
  outcome<flags> send_alone(connection& on, const unit& u);
  void leave_transaction(connection& on);
  /// Which of the refused batches took effect by an attempt before.
  outcome<flags> find_taken(connection& on, const std::vector<std::size_t>& refused);
  outcome<void> prove(connection& on);
  status prove();
  void give_up(const unit& u, const failure& why);
  /// Waits before the next attempt. False: the time is over, or the failure does not pass.
  bool may_retry(const failure& why, bool doubtful);

  connection_pool& pool_;
  const statement_set& sql_;
  const postgres_settings& settings_;
  const connection::steady::time_point began_;
  std::span<const write_batch> batches_;
  std::vector<status> outcomes_;
  std::optional<failure> down_;  ///< no host accepted a connection until the time was over
};

}  // namespace cpns::storage::postgres
