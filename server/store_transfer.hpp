#pragma once
// Moves the rows of a server's store into a file, and from a file into an empty store of any engine.
//
// Moved are the rows that no other row can replace: users, devices, batches with their master keys, entities with their
// keys, gateways with their blocks and keys, and the keys that all servers have in common. Not moved: rows of indexes,
// which are written again; imports of devices that are not decided; the audit chain, which belongs to its file; heartbeats
// and leases.

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "server/server_meta.hpp"
#include "storage/export_file.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Called from time to time; false ends the work with state_stopping.
using transfer_progress = std::function<bool(std::uint64_t done)>;

/// Rows of servers in a shared store that may be running, by name: their versions and addresses.
struct seen_row {
  std::uint64_t version = 0;
  std::string address;
};
using seen_rows = std::map<std::string, seen_row>;
/// Those that did not end in order. Empty if the store is not shared.
result<seen_rows> rows_of_servers(const storage::sealed_store& store);
/// state_conflict: a server wrote its row since `before`, so it runs.
status check_silent(const storage::sealed_store& store, const seen_rows& before);

/// Adds all rows to `to`, page by page; progress gets their number. store_sealed: a row cannot be decrypted;
/// store_damaged: it does not have the record of its name; state_conflict: the server has to finish an import of devices.
status export_rows(const storage::sealed_store& store, storage::export_writer& to,
                   const transfer_progress& progress);

/// What a file holds.
struct export_content {
  storage::row_counts counts;
  std::optional<server_meta> meta;
};
/// Reads all of it and checks each record, so that an import of a bad file writes nothing. progress gets bytes.
/// config_file; store_damaged.
result<export_content> check_export(storage::export_reader& from, const transfer_progress& progress);

/// A store into which a file may be imported.
struct import_target {
  bool begun = false;  ///< by an import of this file, which is not complete
  /// An import of this file was complete before; the incarnation that it wrote, as import_rows() returns it.
  std::optional<std::uint64_t> finished;
};
/// state_exists: the store has rows, and not by an import of this file.
result<import_target> check_target(const storage::sealed_store& store, const storage::export_header& file);

/// Imports a file that check_export() found good, or goes on with it; progress gets bytes. The last batch writes the keys of
/// the servers with an incarnation that is higher by one, as after a restore. Durable on return. Errors of check_target and
/// of the store; after one the call can be repeated. Writes nothing if an import of this file was complete before. Returns
/// the incarnation that the import wrote; 0: no server started with the store of the file.
result<std::uint64_t> import_rows(storage::sealed_store& store, storage::export_reader& from,
                                  const export_content& content, const transfer_progress& progress);

}  // namespace cpns::server
