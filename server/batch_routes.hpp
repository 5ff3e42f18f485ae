#pragma once
// The requests of the CPNS Server's API about batches of devices.

#include <functional>
#include <string>
#include <vector>

#include "api/routes.hpp"
#include "server/administration.hpp"

namespace cpns::server {

/// `state`: of the batch of this name, for the audit trail; null if there is none. `admin` outlives the routes.
std::vector<api::route> batch_routes(administration& admin,
                                     const std::function<boost::json::value(const std::string& name)>& state);

}  // namespace cpns::server
