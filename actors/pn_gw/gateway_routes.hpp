#pragma once
// The resources of a gateway in its HTTP API. docs/openapi/gateway.yaml describes them.

#include <vector>

#include "actors/pn_gw/gateway_role.hpp"
#include "api/routes.hpp"

namespace cpns::actors {

/// `role` outlives the routes.
std::vector<api::route> gateway_routes(gateway_role& role);

}  // namespace cpns::actors
