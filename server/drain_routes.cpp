#include "server/drain_routes.hpp"

#include <boost/json.hpp>
#include <utility>

#include "api/body.hpp"

namespace cpns::server {

std::vector<api::route> drain_routes(server_drain& leaving, std::function<milliseconds()> limit) {
  api::route drain{.verb = api::verb::post,
                   .path = "/v1/drain",
                   .needs = api::level::admin,
                   .handle = [&leaving, limit = std::move(limit)](const api::request& r) -> api::outcome {
                     CPNS_TRY(const auto body, api::json_body::read(r, {}));
                     leaving.begin(limit());
                     return api::json_response(*leaving.view());
                   },
                   .action = "server-drain",
                   .describe = [&leaving](const api::request&) -> boost::json::value {
                     return boost::json::object{{"draining", leaving.begun()}};
                   },
                   .foretell = [](const api::request&, const boost::json::value&) -> boost::json::value {
                     return boost::json::object{{"draining", true}};
                   },
                   .needs_store = false};
  return {std::move(drain)};
}

}  // namespace cpns::server
