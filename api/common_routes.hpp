#pragma once
// The routes that all roles have: health, status, configuration, events.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/json/value.hpp>

#include "api/doors.hpp"
#include "api/events.hpp"
#include "api/routes.hpp"

namespace cpns::api {

/// What a role tells about itself. All functions are [thread-safe] and may block for a second.
struct common_parts {
  std::string role;  ///< "server", "gateway" or "pne"
  std::function<boost::json::object()>
      status;  ///< the role's part of /v1/status and of the snapshot of events
  std::function<std::vector<std::string>()> not_ready;  ///< reasons, as sentences; empty: the role is ready
  std::function<boost::json::value()> configuration{};  ///< the effective configuration, without secrets
  event_hub* events = nullptr;                          ///< outlives the routes
  std::shared_ptr<api::doors> doors{};                  ///< shown by /v1/status; nullptr: not shown
  std::function<std::string()> metrics{};               ///< the text format of Prometheus, 0.0.4
};

/// GET /health/live, /health/ready, /metrics, /v1/status, /v1/config, /v1/events; GET, PUT and DELETE /v1/log.
std::vector<route> common_routes(common_parts parts);

/// GET /v1/routes: verb, path and level of each route of `table`, and of itself. Add it last.
route list_of_routes(const route_table& table);

}  // namespace cpns::api
