#include "api/common_routes.hpp"

#include <memory>

#include <boost/json.hpp>

#include "api/body.hpp"
#include "api/kept_text.hpp"
#include "base/log.hpp"

namespace cpns::api {
namespace {

namespace json = boost::json;
constexpr milliseconds metrics_kept = seconds{1}, metrics_patience = seconds{1};

using shared_parts = std::shared_ptr<const common_parts>;

/// The answer of a route without parameters.
outcome answer(const request& r, const json::value& v) {
  CPNS_CHECK(only_parameters(r, {}));
  return json_response(v);
}

outcome ready(const common_parts& p, const request& r) {
  CPNS_CHECK(only_parameters(r, {}));
  json::array reasons;
  for (const auto& why : p.not_ready()) reasons.emplace_back(why);
  const bool good = reasons.empty();
  return json_response(json::object{{"ready", good}, {"reasons", std::move(reasons)}}, good ? 200 : 503);
}

json::object shown_doors(const doors& d) {
  const auto text = [](const std::string& at) { return at.empty() ? json::value{} : json::value(at); };
  const auto now = d.now();
  return {{"socket", text(now.socket)}, {"listen", text(now.listen)}, {"probes", text(now.probes)}};
}

outcome metrics_of(detail::kept_text& text, const request& r) {
  CPNS_CHECK(only_parameters(r, {}));
  response out;
  out.type = "text/plain; version=0.0.4; charset=utf-8";
  CPNS_TRY(out.body, text.get());
  return out;
}

route metrics_route(std::function<std::string()> collect) {
  const auto text = std::make_shared<detail::kept_text>(std::move(collect), metrics_kept, metrics_patience);
  return {.verb = verb::get,
          .path = "/metrics",
          .handle = [text](const request& r) { return metrics_of(*text, r); },
          .probe = true};
}

json::object status_of(const common_parts& p) {
  auto out = p.status();
  out["role"] = p.role;
  if (p.doors) out["doors"] = shown_doors(*p.doors);
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

json::object log_levels() {
  const auto now = log::levels();
  json::object components;
  for (const auto name : log::component_names) components[name] = log::name_of(log::level_of(name));
  const auto n = log::statistics();
  return {{"level", log::name_of(now.threshold)},
          {"components", std::move(components)},
          {"written", n.written},
          {"dropped", n.dropped},
          {"write_errors", n.write_errors}};
}

struct level_change {
  std::string component;  ///< empty: all
  log::level level;
};

checked<level_change> wanted_level(const request& r) {
  CPNS_TRY(const auto body, json_body::read(r, {"component", "level"}));
  CPNS_TRY(const auto component, body.optional_text("component"));
  CPNS_TRY(const auto word, body.text("level"));
  const auto level = log::parse_level(word);
  if (!level) return refuse(400, "out-of-range", level.error().detail, "level");
  return level_change{component.value_or(std::string{}), *level};
}

outcome set_log_level(const request& r) {
  CPNS_TRY(const auto wanted, wanted_level(r));
  CPNS_CHECK(log::set_level(wanted.component, wanted.level));
  return json_response(log_levels());
}

json::value level_to_be(const request& r, const json::value&) {
  const auto wanted = wanted_level(r);
  if (!wanted) return nullptr;
  json::object out{{"level", log::name_of(wanted->level)}};
  if (log::is_component(wanted->component)) out["component"] = wanted->component;
  return out;
}

outcome reset_log_levels(const request& r) {
  CPNS_TRY(const auto body, json_body::read(r, {}));
  log::reset_levels();
  return json_response(log_levels());
}

void add_log_routes(std::vector<route>& to) {
  const auto describe = [](const request&) -> json::value { return log_levels(); };
  to.push_back({.verb = verb::get, .path = "/v1/log", .handle = [](const request& r) {
                  return answer(r, log_levels());
                }});
  to.push_back({.verb = verb::put,
                .path = "/v1/log",
                .needs = level::operator_,
                .handle = set_log_level,
                .action = "log-level",
                .describe = describe,
                .foretell = level_to_be});
  to.push_back({.verb = verb::del,
                .path = "/v1/log",
                .needs = level::operator_,
                .handle = reset_log_levels,
                .action = "log-level",
                .describe = describe});
}

json::object describe_route(const route& r) {
  json::object out{
      {"verb", name_of(r.verb)}, {"path", r.path}, {"level", word_of(r.needs)}, {"probe", r.probe}};
  if (changes(r.verb)) out["body_max"] = r.body_max;
  return out;
}

}  // namespace

std::vector<route> common_routes(common_parts parts) {
  const shared_parts p = std::make_shared<const common_parts>(std::move(parts));
  std::vector<route> out;
  out.push_back({.verb = verb::get,
                 .path = "/health/live",
                 .handle =
                     [](const request& r) {
                       return answer(r, json::object{{"live", true}});
                     },
                 .probe = true});
  out.push_back({.verb = verb::get,
                 .path = "/health/ready",
                 .handle = [p](const request& r) { return ready(*p, r); },
                 .probe = true});
  if (p->metrics) out.push_back(metrics_route(p->metrics));
  out.push_back({.verb = verb::get, .path = "/v1/status", .handle = [p](const request& r) {
                   return answer(r, status_of(*p));
                 }});
  if (p->configuration)
    out.push_back({.verb = verb::get, .path = "/v1/config", .handle = [p](const request& r) {
                     return answer(r, p->configuration());
                   }});
  add_log_routes(out);
  out.push_back(
      {.verb = verb::get, .path = "/v1/events", .handle = [p](const request& r) { return events(*p, r); }});
  return out;
}

route list_of_routes(const route_table& table) {
  route out{.verb = verb::get, .path = "/v1/routes"};
  json::array all;
  for (const auto& r : table.all()) all.emplace_back(describe_route(r));
  all.emplace_back(describe_route(out));
  out.handle = [list = json::value(json::object{{"routes", std::move(all)}})](const request& r) {
    return answer(r, list);
  };
  return out;
}

}  // namespace cpns::api
