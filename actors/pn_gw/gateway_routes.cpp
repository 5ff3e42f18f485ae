#include "actors/pn_gw/gateway_routes.hpp"

#include <boost/json.hpp>

#include "actors/pn_gw/permit_window.hpp"
#include "actors/pn_gw/views.hpp"
#include "api/body.hpp"
#include "base/text.hpp"

namespace cpns::actors {
namespace {

namespace json = boost::json;

api::outcome list(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix", "state"}));
  CPNS_TRY(const auto page, api::page_of(r));
  CPNS_CHECK(api::is_after(page.after, entity_id::parse));
  const pnes_wanted wanted{page.limit, page.after, api::text_parameter(r, "prefix"),
                           api::text_parameter(r, "state")};
  if (!wanted.state.empty() && !is_pne_state(wanted.state))
    return api::refuse(400, "out-of-range", "no PNE can be in the state " + shown(wanted.state), "state");
  CPNS_TRY(auto rows, role.list(wanted));
  return api::json_response(std::move(rows));
}

api::outcome show(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_TRY(auto one, role.show(entity, true));
  return api::json_response(one);
}

api::outcome radios(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(auto all, role.radios());
  for (auto& one : all.at("radios").as_array()) {
    auto& radio = one.as_object();
    radio["parameters"] = role.parameters_of(json::value_to<std::string>(radio.at("name")));
  }
  return api::json_response(all);
}

api::outcome server(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(auto link, role.server());
  return api::json_response(link);
}

api::outcome permit(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(auto window, role.permit());
  return api::json_response(std::move(window));
}

api::checked<std::uint64_t> wanted_minutes(const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"minutes"}));
  constexpr auto least = static_cast<std::uint64_t>(permit_window::least.count());
  constexpr auto most = static_cast<std::uint64_t>(permit_window::most.count());
  return body.number("minutes", least, most);
}

json::value permit_to_be(const api::request& r, const json::value&) {
  const auto minutes = wanted_minutes(r);
  if (!minutes) return nullptr;
  return json::object{{"minutes", *minutes}};
}

api::outcome open_permit(gateway_role& role, const api::request& r) {
  CPNS_TRY(const auto minutes, wanted_minutes(r));
  CPNS_TRY(auto window, role.open_permit(std::chrono::minutes{minutes}));
  return api::json_response(std::move(window));
}

api::outcome close_permit(gateway_role& role, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(auto window, role.close_permit());
  return api::json_response(std::move(window));
}

api::outcome change_password(gateway_role& role, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"password"}));
  CPNS_TRY(auto password, body.secret_line("password", 1, user_password_max));
  CPNS_TRY(const auto done, role.change_password(std::move(password)));
  return api::json_response(json::object{{"unchanged", done.unchanged}});
}

api::checked<api::text_map> wanted_parameters(const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"parameters"}));
  return body.texts("parameters");
}

/// The names of the wanted parameters that the radio has now: the plugin has not read the values and other names yet. The
/// outcome has all parameters.
json::value parameters_to_be(const api::request& r, const json::value& before) {
  const auto wanted = wanted_parameters(r);
  const auto* now = before.if_object();
  if (!wanted || now == nullptr) return nullptr;
  json::array names;
  for (const auto& [name, value] : *wanted)
    if (now->contains(name)) names.emplace_back(name);
  return json::object{{"changed", std::move(names)}};
}

api::outcome reopen(gateway_role& role, const api::request& r) {
  CPNS_TRY(const auto parameters, wanted_parameters(r));
  CPNS_CHECK(role.reopen(r.at("radio"), parameters));
  return api::empty_response();
}

/// A change of the PNE in the path, which `change` makes.
api::route change_of_pne(gateway_role& role, api::verb verb, const std::string& path, api::level needs,
                         const std::string& action, std::function<status(const entity_id&)> change) {
  return {.verb = verb,
          .path = path,
          .needs = needs,
          .handle = [change = std::move(change)](const api::request& r) -> api::outcome {
            CPNS_TRY(const auto body, api::json_body::read(r, {}));
            CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
            CPNS_CHECK(change(entity));
            return api::empty_response();
          },
          .action = action,
          .object = "entity",
          .is_name = [](const std::string& text) { return entity_id::parse(text).has_value(); },
          .describe = [&role](const api::request& r) -> json::value {
            const auto entity = entity_id::parse(r.at("entity"));
            if (!entity) return nullptr;
            return role.show(*entity).value_or(nullptr);
          }};
}

/// POST /v1/pnes/{entity}/`name`.
api::route command(gateway_role& role, const std::string& name) {
  return change_of_pne(role, api::verb::post, "/v1/pnes/{entity}/" + name, api::level::operator_,
                       "pne-" + name,
                       [&role, name](const entity_id& entity) { return role.command(name, entity); });
}

using answer_fn = api::outcome (*)(gateway_role&, const api::request&);

api::route get(gateway_role& role, std::string path, answer_fn answer) {
  return {.verb = api::verb::get, .path = std::move(path), .handle = [&role, answer](const api::request& r) {
            return answer(role, r);
          }};
}

api::route change(gateway_role& role, api::verb verb, std::string path, api::level needs, std::string action,
                  answer_fn answer) {
  return {.verb = verb,
          .path = std::move(path),
          .needs = needs,
          .handle = [&role, answer](const api::request& r) { return answer(role, r); },
          .action = std::move(action)};
}

api::route change_of_permit(gateway_role& role, api::verb verb, std::string action, answer_fn answer) {
  auto out = change(role, verb, "/v1/permit", api::level::operator_, std::move(action), answer);
  out.describe = [&role](const api::request&) -> json::value {
    auto window = role.permit();
    if (!window) return nullptr;
    return std::move(*window);
  };
  return out;
}

}  // namespace

std::vector<api::route> gateway_routes(gateway_role& role) {
  using api::level;
  using api::verb;
  std::vector<api::route> out{get(role, "/v1/pnes", list),     get(role, "/v1/pnes/{entity}", show),
                              command(role, "approve"),        command(role, "reject"),
                              command(role, "update"),         get(role, "/v1/radios", radios),
                              get(role, "/v1/permit", permit), get(role, "/v1/server", server)};
  out.push_back(change_of_pne(role, verb::del, "/v1/pnes/{entity}", level::admin, "pne-forget",
                              [&role](const entity_id& entity) { return role.forget(entity); }));
  out.push_back(change_of_permit(role, verb::put, "permit-open", open_permit));
  out.back().foretell = permit_to_be;
  out.push_back(change_of_permit(role, verb::del, "permit-close", close_permit));
  auto radio = change(role, verb::post, "/v1/radios/{radio}/reopen", level::admin, "radio-reopen", reopen);
  radio.object = "radio";
  radio.is_name = [&role](const std::string& name) { return role.parameters_of(name).is_object(); };
  radio.foretell = parameters_to_be;
  radio.describe = [&role](const api::request& r) { return role.parameters_of(r.at("radio")); };
  out.push_back(std::move(radio));
  auto password = change(role, verb::put, "/v1/password", level::admin, "gateway-password", change_password);
  password.secret_members = {"password"};
  out.push_back(std::move(password));
  return out;
}

}  // namespace cpns::actors
