#pragma once
// The tables of a PostgreSQL store, and their versions (schema_steps.hpp). The database names the version of its tables
// and the oldest one that a program must know to use them.

#include <functional>
#include <optional>
#include <string>

#include "storage/postgres/connection.hpp"
#include "storage/postgres/settings.hpp"

namespace cpns::storage {

/// The version of the schema that this program makes and needs.
std::uint64_t postgres_schema_version();

struct schema_change {
  std::uint64_t before = 0;  ///< 0: there was none
  std::uint64_t now = 0;
  std::uint64_t oldest = 0;  ///< a program must know this version at least
};

/// How versions are contracted. Each version but the newest one is, before the next version is made, and then the newest
/// one if `newest` is set.
struct contraction {
  bool newest = false;
  /// Called before programs that know no version from `oldest` on are refused. An error ends the migration. Not called
  /// for a new database; empty: no program runs.
  std::function<status(std::uint64_t oldest)> nobody_older{};
  /// From this refusal to the first change: programs that began just before it have noticed it.
  milliseconds notice{0};
};

/// Brings the schema to postgres_schema_version(), while nodes run; does nothing if it is there. Each step is one
/// transaction, and a repetition goes on where an interrupted call ended. The role in `s` owns the tables and needs CREATE
/// on their schema; `node_role`, if given, gets the rights that a node needs, and no more. Errors as open_postgres_store,
/// and of contraction::nobody_older; store_unavailable if the schema is too new for this program.
result<schema_change> migrate_postgres_schema(const postgres_settings& s,
                                              const std::optional<std::string>& node_role,
                                              const contraction& how = {});

/// The same as SQL, for an operator who lets no program change a schema. To contract is a comment.
std::string postgres_schema_text(postgres_statements dialect);

namespace postgres {
/// store_unavailable, with the remedy: no schema, too old, or too new for this program.
outcome<void> check_schema(connection& on, milliseconds limit);
/// Why this program may not use the tables: they are too old, or too new; nullopt: it may. Errors of connection::run.
outcome<std::optional<error>> refusal_by_schema(connection& on, milliseconds limit);
}  // namespace postgres

}  // namespace cpns::storage
