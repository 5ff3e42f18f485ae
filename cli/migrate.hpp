#pragma once
// `cpns store migrate`: gives each row of a store a version, so that no older row can be put back; or brings the tables
// of a database to this release.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "config/schema.hpp"
#include "storage/postgres/schema.hpp"

namespace cpns::cli {

struct migrated_rows {
  std::size_t rows = 0;        ///< that got a version by this call
  std::size_t unreadable = 0;  ///< that cannot be decrypted, and stay as they are
  /// Every row has a version, and from now on the store refuses one without. False only if rows are unreadable.
  bool complete = false;
};

/// Seals the rows of a stopped server or gateway again that were written by schema 1; durable on return, and recorded in
/// the audit trail. `progress` is told the number of rows that were looked at. A repetition goes on where an interrupted
/// call ended. store_locked if the role runs; config_usage for a PNE, whose key files have no rows, and for a store in
/// memory; errors of the configuration, the store and the trail.
result<migrated_rows> migrate_store(const std::filesystem::path& config_file,
                                    const std::function<void(std::size_t)>& progress);

/// The role of a database that owns the tables of cpns, if it is another one than that of the nodes.
struct database_owner {
  std::string user;                     ///< empty: that of the configuration
  std::filesystem::path password_file;  ///< with `user`; empty: none
  std::optional<std::string> node_role;
  [[nodiscard]] bool given() const { return !user.empty() || !password_file.empty() || node_role; }
};

/// Brings the tables to this release, while servers run; with `contract` it also removes what only the release before
/// needs. Not in the audit trail, which belongs to the servers: the log of the database has it. config_usage: a password
/// without a user; errors of storage::migrate_postgres_schema and server::check_no_older_node, for which the heartbeats
/// are opened with the key of `c`.
result<storage::schema_change> migrate_database(const config::server_config& c, const database_owner& owner,
                                                bool contract);

/// The action in the audit trail.
inline constexpr const char* store_migrate = "store-migrate";

}  // namespace cpns::cli
