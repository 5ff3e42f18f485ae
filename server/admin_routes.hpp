#pragma once
// The requests of the CPNS Server's API about users, devices, entities and gateways.

#include <functional>
#include <string>
#include <vector>

#include "api/body.hpp"
#include "api/routes.hpp"
#include "server/administration.hpp"

namespace cpns::server {

/// What the routes take from the program around the server.
struct admin_parts {
  /// The state of the object of this name for the audit trail, without secrets; null if it does not exist.
  using state_of_name = std::function<boost::json::value(const std::string& name)>;
  state_of_name user, device, entity, batch;
  /// Reads the body of POST /v1/devices: a row of `cpns device import`, with the same checks.
  std::function<api::checked<protocol::device_secret_record>(const api::request&)> read_device;
};

/// `admin` outlives the routes.
std::vector<api::route> admin_routes(administration& admin, admin_parts parts);

}  // namespace cpns::server
