#include "server/gateway_key_routes.hpp"

#include <boost/json.hpp>

#include "api/body.hpp"
#include "crypto/psk_key.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {
namespace {

namespace json = boost::json;

constexpr const char* key_path = "/v1/gateways/{identity}/key";

api::checked<std::string> identity_of(const api::request& r) {
  return api::in_field(parse_psk_identity(r.at("identity")), "identity");
}

api::outcome put_key(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"key"}));
  CPNS_TRY(const auto digits, body.secret_line("key", 2 * crypto::psk_key_min, 2 * crypto::psk_key_max));
  CPNS_TRY(const auto identity, identity_of(r));
  CPNS_TRY(const auto key, api::in_field(crypto::psk_key::parse(as_text(digits.expose())), "key"));
  CPNS_CHECK(admin.add_key(identity, key));
  return api::empty_response();
}

api::outcome delete_key(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto identity, identity_of(r));
  CPNS_CHECK(admin.remove_key(identity));
  return api::empty_response();
}

/// As audit::gateway_key_state.
json::value state(bool has_key) { return json::object{{"key", has_key}}; }

json::value state_in_path(const administration& admin, const api::request& r) {
  const auto who = gateway_name::parse(r.at("identity"));
  if (!who) return nullptr;
  const auto found = admin.gateway(who->gw);
  if (!found) return found.error() == errc::state_unknown ? state(false) : json::value(nullptr);
  return state(!found->at("key_since").is_null());
}

}  // namespace

std::vector<api::route> gateway_key_routes(administration& admin) {
  const auto change = [&admin](api::verb v, api::outcome (*answer)(administration&, const api::request&),
                               const char* action, bool has_key) {
    return api::route{
        .verb = v,
        .path = key_path,
        .needs = api::level::admin,
        .handle = [&admin, answer](const api::request& r) { return answer(admin, r); },
        .action = action,
        .object = "identity",
        .is_name = [](const std::string& text) { return is_psk_identity(text); },
        .describe = [&admin](const api::request& r) { return state_in_path(admin, r); },
        .foretell = [has_key](const api::request&, const json::value&) { return state(has_key); }};
  };
  std::vector<api::route> out;
  out.push_back(change(api::verb::put, put_key, "gateway-key-add", true));
  out.back().secret_members = {"key"};
  out.push_back(change(api::verb::del, delete_key, "gateway-key-remove", false));
  return out;
}

}  // namespace cpns::server
