#pragma once
// The request of the CPNS Server's API that takes the server out of service.

#include <functional>
#include <vector>

#include "api/routes.hpp"
#include "base/clock.hpp"
#include "server/server_drain.hpp"

namespace cpns::server {

/// `leaving` outlives the routes. `limit`: how long the drain may last; called at each request. [thread-safe]
std::vector<api::route> drain_routes(server_drain& leaving, std::function<milliseconds()> limit);

}  // namespace cpns::server
