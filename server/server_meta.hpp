#pragma once
// The row that every server of a store has in common.

#include <cstdint>
#include <optional>

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Durable identity of a server, shared by all servers of a cluster.
struct server_meta {
  secret32 issuer_key;            ///< K_iss
  secret32 fake_salt_key;         ///< for the salts of unknown users
  std::uint64_t incarnation = 1;  ///< raised after a restore
  std::uint64_t version = 0;      ///< of its row; 0: not stored yet
};
/// Reads it, or draws and stores it at the first start; of servers that do so at the same time, all get what one stored.
result<server_meta> load_meta(storage::sealed_store& store, entropy& random);
/// nullopt: no server has started with this store.
result<std::optional<server_meta>> find_meta(const storage::sealed_store& store);
/// The name of its row in the table `meta`.
bytes server_meta_row();
/// Its record as the row has it; the version is 0. store_damaged.
result<server_meta> decode_server_meta(byte_view in);
/// The op that writes it if its row has the version of `meta`.
storage::sealed_op op_of(const server_meta& meta);
/// Durable on return. A running server does not read it again. state_conflict: its row is newer than `meta`.
status save_meta(storage::sealed_store& store, const server_meta& meta);

}  // namespace cpns::server
