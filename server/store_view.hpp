#pragma once
// The store of a server in /v1/status.

#include <boost/json/object.hpp>
#include <optional>

#include "base/clock.hpp"
#include "config/schema.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::server {

/// An operator asks whether the database is fast, which of its hosts is in use, and how old the proof is that it is not a former
/// primary. The answer has numbers and words, and no address, name or account: status is shown to viewers. `proof`: age
/// of the last acknowledged heartbeat; nullopt: the store is not shared. [thread-safe]
boost::json::object store_view(config::store_kind kind, const storage::sealed_store& store,
                               std::optional<milliseconds> proof);

}  // namespace cpns::server
