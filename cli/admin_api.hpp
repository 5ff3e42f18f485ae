#pragma once
// What the server's API for administrators takes from this program: the states of the audit trail, and the checks of a
// device's row.

#include "server/admin_routes.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::cli {

/// `store` outlives the functions.
server::admin_parts admin_parts_of(const storage::sealed_store& store);

}  // namespace cpns::cli
