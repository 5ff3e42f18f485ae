#pragma once
// Imports of devices in the HTTP API of a server. docs/openapi/server.yaml describes them.

#include <vector>

#include "api/routes.hpp"
#include "server/imports.hpp"

namespace cpns::server {

/// `imports` outlives the routes.
std::vector<api::route> import_routes(device_imports& imports);

}  // namespace cpns::server
