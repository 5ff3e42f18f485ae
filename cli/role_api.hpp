#pragma once
// The HTTP API of a role in this process: its routes, its events, its listeners.

#include <memory>
#include <string>
#include <vector>

#include "api/common_routes.hpp"
#include "api/http_server.hpp"
#include "cli/api_changes.hpp"
#include "config/schema.hpp"
#include "metrics/registry.hpp"

namespace cpns::cli {

/// Not thread-safe, except where a member says so.
class role_api {
 public:
  /// Serves `own` and the common routes; `parts.events` and `parts.metrics` are set here. The functions of both, `trail`,
  /// `changes`, which records in it, and `counted`, which gets the metrics that all roles have, outlive the object. If the
  /// default socket cannot be used, that is logged, and the role goes without it. Errors of api::http_server::start.
  static result<std::unique_ptr<role_api>> start(const config::api_config& c, api::common_parts parts,
                                                 std::vector<api::route> own, audit::trail& trail,
                                                 api_changes& changes, metrics::registry& counted);
  ~role_api();
  role_api(const role_api&) = delete;
  role_api& operator=(const role_api&) = delete;

  /// Applies the reloadable keys; after an error the former settings stay. Errors of api::http_server::reload.
  status reload(const config::api_config& c);

 private:
  role_api(std::string role, std::shared_ptr<api::event_hub> events);
  const std::string role_;
  std::shared_ptr<api::event_hub> events_;
  std::unique_ptr<api::http_server> server_;  ///< destroyed first
};

/// The path of the socket for the ready file: "no api.socket" without one.
std::string socket_text(const config::api_config& c);

}  // namespace cpns::cli
