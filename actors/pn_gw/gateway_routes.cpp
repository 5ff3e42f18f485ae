#include "actors/pn_gw/gateway_routes.hpp"

#include <boost/json.hpp>

#include "api/body.hpp"

namespace cpns::actors {
namespace {

api::outcome list(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(auto all, role.list());
  return api::json_response(boost::json::object{{"pnes", std::move(all)}});
}

api::outcome show(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto entity, entity_id::parse(r.at("entity")));
  CPNS_TRY(auto one, role.show(entity));
  return api::json_response(one);
}

api::outcome radios(gateway_role& role, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(auto all, role.radios());
  return api::json_response(all);
}

/// POST /v1/pnes/{entity}/`name`.
api::route command(gateway_role& role, const std::string& name) {
  return {.verb = api::verb::post,
          .path = "/v1/pnes/{entity}/" + name,
          .needs = api::level::operator_,
          .handle = [&role, name](const api::request& r) -> api::outcome {
            CPNS_TRY(const auto body, api::json_body::read(r, {}));
            CPNS_TRY(const auto entity, entity_id::parse(r.at("entity")));
            CPNS_CHECK(role.command(name, entity));
            return api::empty_response();
          },
          .action = "pne-" + name,
          .object = "entity",
          .describe = [&role](const api::request& r) -> boost::json::value {
            const auto entity = entity_id::parse(r.at("entity"));
            if (!entity) return nullptr;
            return role.show(*entity).value_or(nullptr);
          }};
}

}  // namespace

std::vector<api::route> gateway_routes(gateway_role& role) {
  const auto get = [&role](std::string path, api::outcome (*answer)(gateway_role&, const api::request&)) {
    return api::route{.verb = api::verb::get,
                      .path = std::move(path),
                      .handle = [&role, answer](const api::request& r) { return answer(role, r); }};
  };
  return {get("/v1/pnes", list),    get("/v1/pnes/{entity}", show), get("/v1/radios", radios),
          command(role, "approve"), command(role, "reject"),        command(role, "update")};
}

}  // namespace cpns::actors
