#pragma once
// Whether a node of an older release runs.
//
// A migration that removes what older releases use must not begin while one of their nodes runs, and no node is asked for
// its consent: a node that is cut off could not answer. Their heartbeats tell: a row that changes is a node that runs.

#include "base/clock.hpp"
#include "base/result.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// Watches the rows of nodes whose program knows no schema from `oldest` on. Returns at once if there are none, else when
/// none has changed for `silent`. state_conflict: one has, with its name and the remedy; store_damaged: a row cannot be
/// read, so its node may be an older one; errors of the store.
status check_no_older_node(const storage::sealed_store& store, std::uint64_t oldest, milliseconds silent);

}  // namespace cpns::server
