#include "server/batch_routes.hpp"

#include <boost/json.hpp>
#include <utility>

#include "api/body.hpp"

namespace cpns::server {
namespace {

using batch_state = std::function<boost::json::value(const std::string& name)>;

constexpr std::size_t range_text_max = 2 * entity_id::max_size + 2;

bool is_batch(const std::string& text) { return protocol::is_batch_id(text); }

/// The problem of the value of a member of the body.
tl::unexpected<api::problem> wrong_member(const error& e, const char* field) {
  if (e == errc::config_range) return api::refuse(400, "out-of-range", e.detail, field);
  api::problem why{e};
  if (e == errc::wire_grammar) why.field = field;
  return fail(std::move(why));
}

api::outcome list_batches(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "prefix"}));
  CPNS_TRY(const auto page, api::page_of(r));
  if (!page.after.empty() && !is_batch(page.after))
    return api::refuse(400, "out-of-range", "'after' must be the member 'next' of the page before", "after");
  return api::json_response(
      batches_page(admin.batches(), {page.limit, page.after}, api::text_parameter(r, "prefix")));
}

api::outcome post_batch(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"batch", "entities"}));
  CPNS_TRY(const auto name, body.text("batch", protocol::batch_id_max));
  CPNS_TRY(const auto ids, body.text_list("entities", protocol::batch_ranges_max, range_text_max));
  const auto done = admin.add_batch(name, ids);
  if (!done) return wrong_member(done.error(), is_batch(name) ? "entities" : "batch");
  return api::empty_response();
}

api::outcome show_batch(administration& admin, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  const auto found = admin.batches().named(r.at("batch"));
  if (!found) return fail(api::problem{unknown_batch(r.at("batch")).value()});
  return api::json_response(view_of(*found));
}

api::outcome delete_batch(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {}));
  CPNS_CHECK(admin.remove_batch(r.at("batch")));
  return api::empty_response();
}

api::outcome export_batch(administration& admin, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"from", "to"}));
  CPNS_TRY(const auto from, body.text("from", entity_id::max_size));
  CPNS_TRY(const auto to, body.text("to", entity_id::max_size));
  CPNS_CHECK(api::in_field(entity_id::parse(from), "from"));
  CPNS_CHECK(api::in_field(entity_id::parse(to), "to"));
  const auto list = admin.export_batch(r.at("batch"), from, to, batch_export_max);
  if (!list) return wrong_member(list.error(), "to");
  api::response out;
  out.type = "text/csv";
  out.secret = true;
  out.body.reserve(batch_list_head.size() + list->size());
  out.body.append(batch_list_head).append(as_text(list->expose()));
  return out;
}

/// As the state of a batch in the trail, from the ranges that can be read.
boost::json::value batch_to_be(const api::request& r, const boost::json::value&) {
  const auto body = api::body_without(r, {});
  const auto* o = body.if_object();
  const auto* list = o == nullptr ? nullptr : o->if_contains("entities");
  boost::json::array out;
  if (list != nullptr && list->is_array())
    for (const auto& v : list->get_array()) {
      if (!v.is_string() || out.size() == protocol::batch_ranges_max) continue;
      const auto range = protocol::entity_range::parse({v.get_string().data(), v.get_string().size()});
      if (range) out.emplace_back(range->text());
    }
  return boost::json::object{{"entities", std::move(out)}};
}

/// The devices whose keys are asked for, for the trail.
boost::json::value devices_to_export(const api::request& r, const boost::json::value&) {
  const auto body = api::body_without(r, {});
  boost::json::object out;
  for (const char* end : {"from", "to"}) {
    const auto* o = body.if_object();
    const auto* v = o == nullptr ? nullptr : o->if_contains(end);
    out[end] = nullptr;
    if (v == nullptr || !v->is_string()) continue;
    const auto entity = entity_id::parse({v->get_string().data(), v->get_string().size()});
    if (entity) out[end] = entity->text();
  }
  return out;
}

using batch_answer = api::outcome (*)(administration&, const api::request&);

api::route batch_get(administration& admin, std::string path, batch_answer how) {
  return {.verb = api::verb::get, .path = std::move(path), .handle = [&admin, how](const api::request& r) {
            return how(admin, r);
          }};
}

api::route batch_change(administration& admin, api::verb v, std::string path, batch_answer how,
                        std::string action) {
  return {.verb = v,
          .path = std::move(path),
          .needs = api::level::admin,
          .handle = [&admin, how](const api::request& r) { return how(admin, r); },
          .action = std::move(action),
          .object = "batch",
          .is_name = is_batch};
}

}  // namespace

std::vector<api::route> batch_routes(administration& admin, const batch_state& state) {
  using enum api::verb;
  const std::string one = "/v1/batches/{batch}";
  const auto in_path = [state](const api::request& r) { return state(r.at("batch")); };
  auto add = batch_change(admin, post, "/v1/batches", post_batch, "batch-add");
  add.describe = [state](const api::request& r) -> boost::json::value {
    const auto body = api::body_without(r, {});
    const auto* o = body.if_object();
    const auto* name = o == nullptr ? nullptr : o->if_contains("batch");
    if (name == nullptr || !name->is_string()) return nullptr;
    return state({name->get_string().data(), name->get_string().size()});
  };
  add.foretell = batch_to_be;
  auto remove = batch_change(admin, del, one, delete_batch, "batch-remove");
  remove.describe = in_path;
  auto list = batch_change(admin, post, one + "/export", export_batch, "batch-export");
  list.foretell = devices_to_export;
  return {batch_get(admin, "/v1/batches", list_batches), std::move(add), batch_get(admin, one, show_batch),
          std::move(remove), std::move(list)};
}

}  // namespace cpns::server
