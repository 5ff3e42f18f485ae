#pragma once
// The tables of a PostgreSQL store, and their versions. A release only adds to the schema of the one before, so nodes of
// both run on it; what nobody uses any more is removed one release later.

#include <optional>
#include <string>

#include "storage/postgres/connection.hpp"

namespace cpns::storage {

/// The version of the schema that this program makes and needs.
inline constexpr std::uint64_t postgres_schema_version = 1;

struct schema_change {
  std::uint64_t before = 0;  ///< 0: there was none
  std::uint64_t now = 0;
};

/// Brings the schema to postgres_schema_version, in one transaction, while nodes run; does nothing if it is there. The
/// role in `s` owns the tables and needs CREATE on their schema; `node_role`, if given, gets the rights that a node
/// needs, and no more. Errors as open_postgres_store; store_unavailable if the schema is too new for this program.
result<schema_change> migrate_postgres_schema(const postgres_settings& s,
                                              const std::optional<std::string>& node_role);

/// The same as SQL, for an operator who lets no program change a schema.
std::string postgres_schema_text(postgres_statements dialect);

namespace postgres {
/// store_unavailable, with the remedy: no schema, too old, or too new for this program.
outcome<void> check_schema(connection& on, milliseconds limit);
}  // namespace postgres

}  // namespace cpns::storage
