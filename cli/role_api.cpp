#include "cli/role_api.hpp"

#include "base/bytes.hpp"
#include "base/log.hpp"
#include "cli/audit_report.hpp"
#include "cli/role_metrics.hpp"
#include "crypto/suite.hpp"

namespace cpns::cli {

role_api::role_api(std::string role, std::shared_ptr<api::event_hub> events)
    : role_(std::move(role)), events_(std::move(events)) {}
role_api::~role_api() { log::observe({}); }

result<std::unique_ptr<role_api>> role_api::start(const config::api_config& c, api::common_parts parts,
                                                  std::vector<api::route> own, audit::trail& trail,
                                                  api_changes& changes, metrics::registry& counted) {
  auto run = to_hex(crypto::system_entropy().draw<4>());
  auto made =
      std::unique_ptr<role_api>{new role_api{parts.role, std::make_shared<api::event_hub>(std::move(run))}};
  parts.events = made->events_.get();
  parts.metrics = [&counted] { return counted.text(); };
  collect_process(counted, made->role_, parts.not_ready);
  collect_audit(counted, trail);
  parts.doors = std::make_shared<api::doors>();
  api::http_parts http{.component = made->role_,
                       .routes = {},
                       .changes = &changes,
                       .events = parts.events,
                       .doors = parts.doors};
  http.routes.add(std::move(own));
  http.routes.add(audit_verify_route(trail));
  http.routes.add(api::common_routes(std::move(parts)));
  http.routes.add(api::list_of_routes(http.routes));
  auto started = api::http_server::start(c, http);
  if (!started && c.socket_is_default && !(started.error() == errc::state_conflict)) {
    auto without_socket = c;
    without_socket.socket.reset();
    auto second = api::http_server::start(without_socket, std::move(http));
    if (second)
      log::warn(made->role_, "api-unavailable",
                started.error().message() + "; the role goes without its API: set api.socket, or 'none'");
    started = std::move(second);
  }
  if (!started) return fail(started.error());
  made->server_ = std::move(*started);
  collect_api(counted, *made->server_);
  // A line may be logged while the observer is replaced, so the hub is shared.
  log::observe([hub = made->events_](log::packed_line line) { hub->publish(std::move(line)); });
  return made;
}

status role_api::reload(const config::api_config& c) { return server_->reload(c); }

std::string socket_text(const config::api_config& c) {
  return c.socket ? c.socket->string() : "no api.socket";
}

}  // namespace cpns::cli
