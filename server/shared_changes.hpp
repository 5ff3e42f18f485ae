#pragma once
// What the servers of one store tell each other by rows of the store.
//
// A server has the blocked gateways, their keys and the batches in memory, because each request asks for them. When
// another server changes a row of them, nobody tells this one. So each such change raises, in its own batch, the version of
// a row of `meta` that stands for all rows of its kind: a server that reads this row often knows when to read the others
// again. A store that no other process can open has no such row, and a change costs nothing more.

#include <cstdint>

#include "storage/sealed_store.hpp"

namespace cpns::server {

enum class changes_of : std::uint8_t {
  gateways,  ///< blocks and keys; not the notes of connections
  batches,
};

/// The row that stands for the rows of this kind; its version alone counts.
storage::row_name changes_row(changes_of kind);
/// The version of this row in the store; 0 of a store that is not shared.
result<std::uint64_t> changes_seen(const storage::sealed_store& store, changes_of kind);
/// Adds the raise of this version to a change, if the store is shared. `expected`: the change fails with store_conflict if
/// there were changes after this version.
void tell_change(const storage::sealed_store& store, storage::sealed_batch& change, changes_of kind,
                 std::optional<std::uint64_t> expected = {});

}  // namespace cpns::server
