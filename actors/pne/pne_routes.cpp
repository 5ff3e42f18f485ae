#include "actors/pne/pne_routes.hpp"

#include <boost/json.hpp>

#include "api/body.hpp"

namespace cpns::actors {
namespace {

/// In place of an Entity ID.
constexpr std::string_view all_devices = "*";

api::outcome list_devices(pne_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix"}));
  CPNS_TRY(const auto page, api::page_of(r));
  CPNS_CHECK(api::is_after(page.after, entity_id::parse));
  CPNS_TRY(auto rows, role.list(page.after, api::text_parameter(r, "prefix"), page.limit + 1));
  boost::json::value next = nullptr;
  if (rows.size() > page.limit) {
    rows.pop_back();
    next = rows.back().as_object().at("entity");
  }
  return api::json_response(boost::json::object{{"devices", std::move(rows)}, {"next", std::move(next)}});
}

api::outcome show_radios(pne_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(auto all, role.radios());
  return api::json_response(std::move(all));
}

api::outcome command_devices(pne_role& role, const std::string& what, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  const auto& which = r.at("entity");
  if (which != all_devices) CPNS_CHECK(api::in_field(entity_id::parse(which), "entity"));
  CPNS_CHECK(role.command(what, which == all_devices ? std::string{} : which));
  return api::empty_response();
}

}  // namespace

std::vector<api::route> pne_routes(pne_role& role) {
  std::vector<api::route> out{{.verb = api::verb::get,
                               .path = "/v1/devices",
                               .handle = [&role](const api::request& r) { return list_devices(role, r); }},
                              {.verb = api::verb::get,
                               .path = "/v1/radios",
                               .handle = [&role](const api::request& r) { return show_radios(role, r); }}};
  for (const std::string what : {"sleep", "wake", "button", "reset"})
    out.push_back({.verb = api::verb::post,
                   .path = "/v1/devices/{entity}/" + what,
                   .needs = what == "reset" ? api::level::admin : api::level::operator_,
                   .handle = [&role, what](const api::request& r) { return command_devices(role, what, r); },
                   .action = "device-" + what,
                   .object = "entity",
                   .is_name =
                       [](const std::string& text) {
                         return text == all_devices || entity_id::parse(text).has_value();
                       }});
  return out;
}

}  // namespace cpns::actors
