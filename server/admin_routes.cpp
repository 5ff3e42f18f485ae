#include "server/admin_routes.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <iterator>
#include <memory>
#include <utility>

#include "server/gateway_key_routes.hpp"
#include "server/key_text.hpp"

namespace cpns::server {
namespace {

namespace json = boost::json;
using shared_parts = std::shared_ptr<const admin_parts>;

constexpr std::size_t password_min = 8, password_max = 1024;

api::checked<page_asked> asked_page(const api::request& r) {
  CPNS_TRY(auto p, api::page_of(r));
  return page_asked{p.limit, std::move(p.after)};
}

/// The page, or the problem of its parameter `after`.
api::outcome page_answer(result<json::object> page) {
  if (page) return api::json_response(std::move(*page));
  if (page.error() == errc::config_range)
    return api::refuse(400, "out-of-range", page.error().detail, "after");
  return fail(api::problem{page.error()});
}

api::checked<std::optional<user_id>> owner_parameter(const api::request& r) {
  const auto text = api::text_parameter(r, "owner");
  if (text.empty()) return std::optional<user_id>{};
  CPNS_TRY(auto user, api::in_field(user_id::parse(text), "owner"));
  return std::optional{std::move(user)};
}

api::checked<bool> flag_parameter(const api::request& r, std::string_view name) {
  const auto text = api::text_parameter(r, name);
  if (text.empty() || text == "false") return false;
  if (text == "true") return true;
  return api::refuse(400, "out-of-range", "'" + std::string{name} + "' must be true or false",
                     std::string{name});
}

// ---- users

api::outcome list_users_page(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix"}));
  CPNS_TRY(const auto asked, asked_page(r));
  return page_answer(users_page(admin.store(), asked, {api::text_parameter(r, "prefix")}));
}

api::outcome show_user(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto user, api::in_field(user_id::parse(r.at("user")), "user"));
  CPNS_TRY(const auto found, find_user(admin.store(), user));
  if (!found) return fail(api::problem{error{errc::state_unknown, "the user " + user.text()}});
  return api::json_response(view_of(*found));
}

api::outcome post_user(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"user", "password"}));
  CPNS_TRY(const auto name, body.text("user", user_id::max_size));
  CPNS_TRY(const auto password, body.secret_line("password", password_min, password_max));
  CPNS_TRY(const auto user, api::in_field(user_id::parse(name), "user"));
  CPNS_CHECK(admin.add_user(user, password));
  return api::empty_response();
}

api::outcome put_password(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"password"}));
  CPNS_TRY(const auto password, body.secret_line("password", password_min, password_max));
  CPNS_TRY(const auto user, api::in_field(user_id::parse(r.at("user")), "user"));
  CPNS_CHECK(admin.change_password(user, password));
  return api::empty_response();
}

api::outcome delete_user(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto user, api::in_field(user_id::parse(r.at("user")), "user"));
  CPNS_CHECK(admin.remove_user(user));
  return api::empty_response();
}

// ---- devices

api::outcome list_devices_page(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix", "owner", "batch"}));
  CPNS_TRY(const auto asked, asked_page(r));
  CPNS_TRY(auto owner, owner_parameter(r));
  return page_answer(
      devices_page(admin.store(), asked,
                   {api::text_parameter(r, "prefix"), std::move(owner), api::text_parameter(r, "batch")},
                   admin.drop_stale()));
}

api::outcome show_device(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_TRY(const auto found, find_device(admin.store(), entity));
  if (!found) return fail(api::problem{error{errc::state_unknown, "the device " + entity.text()}});
  return api::json_response(view_of(*found));
}

api::outcome delete_device(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_CHECK(admin.remove_device(entity));
  return api::empty_response();
}

api::outcome post_device_block(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_CHECK(admin.block_device(entity));
  return api::empty_response();
}

// ---- entities

api::outcome list_entities_page(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix", "owner", "holder", "held"}));
  CPNS_TRY(const auto asked, asked_page(r));
  entity_filter filter;
  filter.prefix = api::text_parameter(r, "prefix");
  CPNS_TRY(filter.owner, owner_parameter(r));
  CPNS_TRY(filter.held, flag_parameter(r, "held"));
  if (const auto holder = api::text_parameter(r, "holder"); !holder.empty()) {
    CPNS_TRY(filter.holder, api::in_field(parse_gateway(holder), "holder"));
  }
  return page_answer(entities_page(admin.store(), asked, filter, admin.drop_stale()));
}

api::outcome show_entity(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_TRY(const auto found, find_entity(admin.store(), entity));
  if (!found)
    return fail(api::problem{
        error{errc::state_unknown, "the device " + entity.text() + ": no key was ever assigned to it"}});
  return api::json_response(view_of(*found, true));
}

api::outcome release_one(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto entity, api::in_field(entity_id::parse(r.at("entity")), "entity"));
  CPNS_TRY(const auto done, admin.release(entity));
  return api::json_response(view_of(done));
}

// ---- gateways

api::outcome list_gateways_page(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix", "state", "blocked"}));
  CPNS_TRY(const auto asked, asked_page(r));
  gateway_filter filter{api::text_parameter(r, "prefix"), {}};
  if (const auto text = api::text_parameter(r, "state"); !text.empty()) {
    filter.state = gateway_state_named(text);
    if (!filter.state)
      return api::refuse(400, "out-of-range", "'state' must be connected, known or blocked", "state");
  }
  CPNS_TRY(const bool blocked, flag_parameter(r, "blocked"));
  if (blocked && filter.state.value_or(gateway_state::blocked) != gateway_state::blocked)
    return api::refuse(400, "out-of-range", "'blocked' and 'state' ask for different gateways; leave one out",
                       "blocked");
  if (blocked) filter.state = gateway_state::blocked;
  return page_answer(admin.gateways(asked, filter));
}

api::outcome show_gateway(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto who, api::in_field(gateway_name::parse(r.at("gateway")), "gateway"));
  CPNS_TRY(auto found, admin.gateway(who.gw));
  return api::json_response(std::move(found));
}

api::outcome disconnect(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto who, api::in_field(gateway_name::parse(r.at("gateway")), "gateway"));
  CPNS_TRY(const auto done, admin.disconnect(who));
  return api::json_response(
      json::object{{"closed", done.closed},
                   {"unconfirmed", json::array(done.unconfirmed.begin(), done.unconfirmed.end())}});
}

api::outcome block(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto who, api::in_field(gateway_name::parse(r.at("gateway")), "gateway"));
  CPNS_CHECK(admin.block(who));
  return api::json_response(json::object{
      {"gw", who.gw.hex()},
      {"blocked", true},
      {"note", "It gets no keys any more. It can still deliver the keys that it holds, until the `not_after` "
               "of their sets; devices keep the key that they have."}});
}

api::outcome unblock(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_TRY(const auto who, api::in_field(gateway_name::parse(r.at("gateway")), "gateway"));
  CPNS_CHECK(admin.unblock(who));
  return api::empty_response();
}

api::outcome release_all(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"after"}));
  CPNS_TRY(const auto after, body.optional_text("after"));
  CPNS_TRY(const auto who, api::in_field(gateway_name::parse(r.at("gateway")), "gateway"));
  auto page = admin.release_held_by(who.gw, after.value_or(std::string{}));
  if (!page && page.error() == errc::config_range)
    return api::refuse(400, "out-of-range", page.error().detail, "after");
  if (!page) return fail(api::problem{page.error()});
  json::array released;
  for (const auto& e : page->released) released.push_back(view_of(e));
  json::object out{{"released", std::move(released)}, {"next", nullptr}};
  if (page->next) out["next"] = *page->next;
  return api::json_response(std::move(out));
}

/// The state of the gateway in the path, for the audit trail.
json::value block_state(administration& admin, const api::request& r) {
  const auto who = gateway_name::parse(r.at("gateway"));
  if (!who) return nullptr;
  const auto found = admin.gateway(who->gw);
  if (!found) return nullptr;
  return json::object{{"blocked", found->at("blocked")}};
}

/// All of the routes have these forms.
class routes_of {
 public:
  using call = api::outcome (*)(administration&, const api::request&);
  /// `is_name`: whether a text can be the name of an object of the changes.
  routes_of(administration& admin, bool (*is_name)(const std::string&)) : admin_(admin), is_name_(is_name) {}

  void get(std::string path, call answer) {
    out_.push_back({.verb = api::verb::get, .path = std::move(path), .handle = bound(answer)});
  }
  /// A change by an admin; `object` is the {NAME} of its object.
  api::route& change(api::verb v, std::string path, api::handler handle, std::string action,
                     std::string object) {
    out_.push_back({.verb = v,
                    .path = std::move(path),
                    .needs = api::level::admin,
                    .handle = std::move(handle),
                    .action = std::move(action),
                    .object = std::move(object),
                    .is_name = is_name_});
    return out_.back();
  }
  api::route& change(api::verb v, std::string path, call answer, std::string action, std::string object) {
    return change(v, std::move(path), bound(answer), std::move(action), std::move(object));
  }
  void add_to(std::vector<api::route>& all) { std::move(out_.begin(), out_.end(), std::back_inserter(all)); }

 private:
  [[nodiscard]] api::handler bound(call answer) const {
    return [&admin = admin_, answer](const api::request& r) { return answer(admin, r); };
  }
  administration& admin_;
  bool (*is_name_)(const std::string&);
  std::vector<api::route> out_;
};

/// The state of the object that `name` in the path names.
api::describer state_in_path(admin_parts::state_of_name state, std::string name) {
  return
      [state = std::move(state), name = std::move(name)](const api::request& r) { return state(r.at(name)); };
}

bool is_user(const std::string& text) { return user_id::parse(text).has_value(); }
bool is_entity(const std::string& text) { return entity_id::parse(text).has_value(); }
bool is_gateway(const std::string& text) { return parse_gateway(text).has_value(); }

/// A text in the body, empty if there is none.
std::string body_text(const json::value& body, std::string_view member) {
  const auto* o = body.if_object();
  const auto* v = o == nullptr ? nullptr : o->if_contains(member);
  return v == nullptr || !v->is_string() ? std::string{}
                                         : std::string{v->get_string().data(), v->get_string().size()};
}

/// The state of the object that `member` of the body names.
api::describer state_in_body(admin_parts::state_of_name state, std::string member, std::string secret) {
  return [state = std::move(state), member = std::move(member),
          secret = std::move(secret)](const api::request& r) -> json::value {
    const auto name = body_text(api::body_without(r, {secret}), member);
    if (name.empty()) return nullptr;
    return state(name);
  };
}

/// `before`, in which `member` has another value.
api::foreteller with_member(std::string member, json::value value) {
  return
      [member = std::move(member), value = std::move(value)](const api::request&, const json::value& before) {
        auto out = before.is_object() ? before.get_object() : json::object{};
        out[member] = value;
        return json::value(std::move(out));
      };
}

/// As the state of a device in the trail, from the members that can be read.
json::value device_to_be(const api::request& r, const json::value&) {
  const auto body = api::body_without(r, {"temporary_key"});
  const auto* o = body.if_object();
  if (o == nullptr) return nullptr;
  const auto if_it = [&body](const char* member, bool (*is_one)(const std::string&)) -> json::value {
    const auto text = body_text(body, member);
    if (!is_one(text)) return nullptr;
    return json::value(text);
  };
  const auto* presence = o->if_contains("presence");
  // With swapped members any of them may be the Temporary Key.
  return json::object{
      {"strength", if_it("strength", [](const std::string& t) { return t == "128bit" || t == "stretch"; })},
      {"owner", if_it("owner", [](const std::string& t) { return is_user(t) && !looks_like_key(t); })},
      {"presence", presence == nullptr || !presence->is_bool() || presence->get_bool()},
      {"batch", if_it("batch", [](const std::string& t) { return !t.empty() && !looks_like_key(t); })}};
}

void add_user_routes(routes_of& to, const admin_parts& p) {
  using enum api::verb;
  to.get("/v1/users", list_users_page);
  auto& add = to.change(post, "/v1/users", post_user, "user-add", "user");
  add.secret_members = {"password"};
  add.describe = state_in_body(p.user, "user", "password");
  to.get("/v1/users/{user}", show_user);
  to.change(del, "/v1/users/{user}", delete_user, "user-remove", "user").describe =
      state_in_path(p.user, "user");
  auto& password = to.change(put, "/v1/users/{user}/password", put_password, "user-password", "user");
  password.secret_members = {"password"};
  password.describe = state_in_path(p.user, "user");
}

void add_device_routes(routes_of& to, administration& admin, const shared_parts& p) {
  using enum api::verb;
  to.get("/v1/devices", list_devices_page);
  auto& add = to.change(
      post, "/v1/devices",
      [&admin, p](const api::request& r) -> api::outcome {
        CPNS_TRY(const auto device, p->read_device(r));
        CPNS_CHECK(admin.add_device(device));
        return api::empty_response();
      },
      "device-add", "entity");
  add.secret_members = {"temporary_key"};
  add.describe = state_in_body(p->device, "entity", "temporary_key");
  add.foretell = device_to_be;
  to.get("/v1/devices/{entity}", show_device);
  auto& blocking = to.change(post, "/v1/devices/{entity}/block", post_device_block, "device-block", "entity");
  blocking.describe = state_in_path(p->device, "entity");
  blocking.foretell = [](const api::request&, const json::value&) -> json::value {
    return json::object{{"blocked", true}};
  };
  to.change(del, "/v1/devices/{entity}", delete_device, "device-remove", "entity").describe =
      state_in_path(p->device, "entity");
}

void add_entity_routes(routes_of& to, const admin_parts& p) {
  to.get("/v1/entities", list_entities_page);
  to.get("/v1/entities/{entity}", show_entity);
  auto& release =
      to.change(api::verb::post, "/v1/entities/{entity}/release", release_one, "entity-release", "entity");
  release.describe = state_in_path(p.entity, "entity");
  release.foretell = with_member("holder", nullptr);
}

void add_gateway_routes(routes_of& to, administration& admin) {
  using enum api::verb;
  to.get("/v1/gateways", list_gateways_page);
  to.get("/v1/gateways/{gateway}", show_gateway);
  const auto path = [](const char* what) { return std::string{"/v1/gateways/{gateway}/"} + what; };
  to.change(post, path("disconnect"), disconnect, "gateway-disconnect", "gateway");
  const auto state = [&admin](const api::request& r) { return block_state(admin, r); };
  auto& blocking = to.change(post, path("block"), block, "gateway-block", "gateway");
  blocking.describe = state;
  blocking.foretell = with_member("blocked", true);
  auto& serving = to.change(post, path("unblock"), unblock, "gateway-unblock", "gateway");
  serving.describe = state;
  serving.foretell = with_member("blocked", false);
  to.change(post, path("release"), release_all, "gateway-release", "gateway");
}

}  // namespace

std::vector<api::route> admin_routes(administration& admin, admin_parts parts) {
  const auto p = std::make_shared<const admin_parts>(std::move(parts));
  std::vector<api::route> all;
  routes_of users{admin, is_user}, devices{admin, is_entity}, entities{admin, is_entity},
      gateways{admin, is_gateway};
  add_user_routes(users, *p);
  add_device_routes(devices, admin, p);
  add_entity_routes(entities, *p);
  add_gateway_routes(gateways, admin);
  for (auto* some : {&users, &devices, &entities, &gateways}) some->add_to(all);
  for (auto& r : gateway_key_routes(admin)) all.push_back(std::move(r));
  return all;
}

}  // namespace cpns::server
