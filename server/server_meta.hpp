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
};
/// Reads it, or draws and stores it at the first start.
result<server_meta> load_meta(storage::sealed_store& store, entropy& random);
/// nullopt: no server has started with this store.
result<std::optional<server_meta>> find_meta(const storage::sealed_store& store);
/// Durable on return. A running server does not read it again.
status save_meta(storage::sealed_store& store, const server_meta& meta);

}  // namespace cpns::server
