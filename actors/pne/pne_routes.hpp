#pragma once
// The resources of a process of PNEs in its HTTP API. docs/openapi/pne.yaml describes them.

#include <vector>

#include "actors/pne/pne_role.hpp"
#include "api/routes.hpp"

namespace cpns::actors {

/// `role` outlives the routes.
std::vector<api::route> pne_routes(pne_role& role);

}  // namespace cpns::actors
