#pragma once
// The read path of a PostgreSQL store.

#include <optional>
#include <span>
#include <vector>

#include "storage/postgres/pool.hpp"
#include "storage/postgres/statements.hpp"

namespace cpns::storage::postgres {

/// The rows in the order of `names`, which may contain a name twice; nullopt: the row does not exist.
outcome<std::vector<std::optional<stored_value>>>
read_rows(connection& on, const statement_set& sql, std::span<const row_name> names, milliseconds limit);

/// At most `limit` rows from `first` on, before `end`, in byte order; about slice_bytes_max bytes at most.
outcome<std::vector<stored_row>> read_page(connection& on, const statement_set& sql, table t,
                                           const bytes& first, const bytes& end, std::size_t limit,
                                           milliseconds time);

/// The first name behind all that begin with `prefix`.
bytes end_of_prefix(byte_view prefix);

/// Before a host is dialled again that refused; other nodes do the same.
void pause_before_dial();

/// Calls `act` with a connection, again after failures that can pass, for settings.retry.
template <class Act>
auto with_connection(connection_pool& pool, const postgres_settings& s, Act act)
    -> decltype(act(std::declval<connection&>())) {
  const auto until = connection::steady::now() + s.retry;
  while (true) {
    auto lease = pool.take(until);
    if (!lease) {
      if (lease.error().kind != trouble::unreachable || connection::steady::now() >= until)
        return fail(std::move(lease).error());
      pause_before_dial();
      continue;
    }
    auto done = act(**lease);
    if (done) return done;
    const auto kind = done.error().kind;
    const bool passes = done.error().ends_connection() || kind == trouble::again || kind == trouble::locked;
    if (done.error().ends_connection()) lease->give_up();
    if (!passes || connection::steady::now() >= until) return done;
  }
}

}  // namespace cpns::storage::postgres
