#include "api/common_routes.hpp"

#include <memory>

#include <boost/json.hpp>

#include "api/body.hpp"

namespace cpns::api {
namespace {

namespace json = boost::json;
using shared_parts = std::shared_ptr<const common_parts>;

outcome ready(const common_parts& p) {
  json::array reasons;
  for (const auto& r : p.not_ready()) reasons.emplace_back(r);
  const bool good = reasons.empty();
  return json_response(json::object{{"ready", good}, {"reasons", std::move(reasons)}}, good ? 200 : 503);
}

json::object status_of(const common_parts& p) {
  auto out = p.status();
  out["role"] = p.role;
  return out;
}

/// A reader that lost its place, or has none, begins with the present state; the events after it follow.
outcome events(const common_parts& p, const request& r) {
  CPNS_CHECK(only_parameters(r, {}));
  response out;
  out.events = p.events;
  if (const auto place = p.events->place_of(r.last_event)) {
    out.after = *place;
    return out;
  }
  out.after = p.events->newest();
  out.body = event_text(p.events->id_of(out.after), "snapshot", json::serialize(status_of(p)));
  return out;
}

}  // namespace

std::vector<route> common_routes(common_parts parts) {
  const shared_parts p = std::make_shared<const common_parts>(std::move(parts));
  std::vector<route> out;
  out.push_back({.verb = verb::get,
                 .path = "/health/live",
                 .handle = [](const request&) -> outcome {
                   return json_response(json::object{{"live", true}});
                 },
                 .probe = true});
  out.push_back({.verb = verb::get,
                 .path = "/health/ready",
                 .handle = [p](const request&) { return ready(*p); },
                 .probe = true});
  out.push_back({.verb = verb::get, .path = "/v1/status", .handle = [p](const request&) -> outcome {
                   return json_response(status_of(*p));
                 }});
  if (p->configuration)
    out.push_back({.verb = verb::get, .path = "/v1/config", .handle = [p](const request&) -> outcome {
                     return json_response(p->configuration());
                   }});
  out.push_back(
      {.verb = verb::get, .path = "/v1/events", .handle = [p](const request& r) { return events(*p, r); }});
  return out;
}

}  // namespace cpns::api
