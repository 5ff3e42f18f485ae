#pragma once
// A store in a PostgreSQL database, or in an engine that speaks its protocol, shared by all nodes of a cluster.

#include <memory>

#include "storage/postgres/schema.hpp"
#include "storage/postgres/settings.hpp"
#include "storage/store.hpp"
#include "storage/store_folder.hpp"

namespace cpns::storage {

/// Connects and checks the schema, which it never changes; the role needs no rights to do so.
///   config_*           the settings (check of settings.hpp), the password file
///   store_unavailable  no host accepts a connection for writes; or the schema is missing, too old or too new
///
/// Calls block: a read for about settings.retry, a write for settings.doubt, each longer by one attempt to reach all
/// hosts. A lost connection is replaced at the next call; a write without an answer is repeated until its outcome is
/// known. After settings.doubt it fails with store_unavailable, and may appear later. A write that took effect without
/// an answer, and on which another writer already built, fails with store_conflict. While writes fail, a thread tries
/// one every 0.5 s. A scan is not a snapshot: it visits pages. The lock of the node's folder (store_folder.hpp) is held
/// as long as the store is open.
result<std::unique_ptr<store>> open_postgres_store(postgres_settings s, node_folder node = {});
/// The same without the check of the schema and for reads, while migrate_postgres_schema works at the database.
result<std::unique_ptr<store>> open_postgres_store_in_migration(postgres_settings s);

}  // namespace cpns::storage
