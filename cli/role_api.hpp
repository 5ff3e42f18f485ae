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
  /// Serves `own` and the common routes; `parts.events` and `parts.metrics` are set here. The functions of both, `trail`, in
  /// which changes are recorded, and `counted`, which gets the metrics that all roles have, outlive the object. If the
  /// default socket cannot be used, that is logged, and the role goes without it. Errors of api::http_server::start.
  static result<std::unique_ptr<role_api>> start(const config::api_config& c, api::common_parts parts,
                                                 std::vector<api::route> own, audit::trail& trail,
                                                 metrics::registry& counted);
  ~role_api();
  role_api(const role_api&) = delete;
  role_api& operator=(const role_api&) = delete;

  /// The lines of changes in the trail, for work that outlives its request. Ends with this object.
  api::change_log& changes() { return changes_; }
  /// Applies the reloadable keys; an error is logged, and the former settings stay.
  void reload(const config::api_config& c);

 private:
  role_api(std::string role, std::shared_ptr<api::event_hub> events, audit::trail& trail);
  const std::string role_;
  std::shared_ptr<api::event_hub> events_;
  api_changes changes_;
  std::unique_ptr<api::http_server> server_;  ///< destroyed first
};

/// The path of the socket for the ready file: "no api.socket" without one.
std::string socket_text(const config::api_config& c);

}  // namespace cpns::cli
