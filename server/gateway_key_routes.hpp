#pragma once
#include <vector>

#include "api/routes.hpp"
#include "server/administration.hpp"

namespace cpns::server {

/// The routes that give a gateway a pre-shared key, and take it away. `admin` outlives them.
std::vector<api::route> gateway_key_routes(administration& admin);

}  // namespace cpns::server
