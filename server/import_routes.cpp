#include "server/import_routes.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

#include "api/body.hpp"
#include "base/text.hpp"

namespace cpns::server {
namespace {

namespace json = boost::json;

constexpr std::uint64_t rows_body_max = 1ULL << 30;
constexpr std::size_t receiving_max =
    2;  ///< each keeps a worker of the API, and a client decides for how long
constexpr const char* import_action = "device-import";
constexpr std::array<std::string_view, 4> list_types{"text/csv", "application/jsonl", "application/x-ndjson",
                                                     "application/octet-stream"};

std::string time_text(std::int64_t at) { return rfc3339_text(time_point(seconds(at))); }
json::value text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::value(text);
}

json::value problem_of(const import_view& v) {
  const auto& r = v.record;
  if (v.problem) return json::object{{"code", v.problem->code}, {"detail", v.problem->detail}};
  if (r.fault_code.empty()) return nullptr;
  json::object out{{"code", r.fault_code}, {"detail", r.fault_text}};
  if (r.fault_line != 0) out["line"] = r.fault_line;
  return out;
}

json::object document_of(const import_view& v) {
  const auto& r = v.record;
  return {{"import", r.name},
          {"state", v.state()},
          {"batch", r.batch},
          {"partial", r.partial},
          {"replace", r.replace},
          {"presence", r.require_presence},
          {"allow_constant", r.allow_constant},
          {"allow_repeats", r.allow_repeats},
          {"created", time_text(r.created)},
          {"changed", time_text(r.changed)},
          {"bytes", r.bytes},
          {"good", r.good},
          {"bad", r.bad},
          {"stretched", r.stretched},
          {"checked", v.checked},
          {"imported", r.imported},
          {"warnings", r.warnings},
          {"results", r.results_kept},
          {"sha256", text_or_null(r.sha256)},
          {"problem", problem_of(v)}};
}

/// Empty: any state.
api::checked<std::string> state_parameter(const api::request& r) {
  auto state = api::text_parameter(r, "state");
  constexpr std::string_view states[] = {"receiving", "checking", "importing", "done", "refused"};
  if (!state.empty() && std::find(std::begin(states), std::end(states), state) == std::end(states))
    return api::refuse(400, "out-of-range", "'state' must be receiving, checking, importing, done or refused",
                       "state");
  return state;
}

api::outcome list(device_imports& all, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after", "state"}));
  CPNS_TRY(const auto state, state_parameter(r));
  CPNS_TRY(const auto page, api::page_of(r));
  if (!page.after.empty() && !is_import_name(page.after))
    return api::refuse(400, "out-of-range", "'after' must be the member 'next' of the page before", "after");
  const auto found = all.list(page.after, page.limit + 1, state);
  json::array rows;
  for (std::size_t i = 0; i < std::min(found.size(), page.limit); ++i) rows.push_back(document_of(found[i]));
  const bool more = found.size() > page.limit;
  const auto next = more ? json::value(found[page.limit - 1].record.name) : json::value(nullptr);
  return api::json_response(json::object{{"imports", std::move(rows)}, {"next", next}});
}

api::outcome create(device_imports& all, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"import", "batch", "partial", "replace", "presence",
                                                     "allow_constant", "allow_repeats"}));
  import_options o;
  CPNS_TRY(auto name, body.optional_text("import", protocol::import_name_max));
  CPNS_TRY(o.batch, body.text("batch", 255));
  CPNS_CHECK(body.optional_name("batch", 255));
  if (name && !is_import_name(*name))
    return api::refuse(
        400, "config-usage",
        "the name of an import has letters, digits, '.', '_' and '-', and is neither '.' nor '..'", "import");
  CPNS_TRY(o.partial, body.boolean("partial", false));
  CPNS_TRY(o.replace, body.boolean("replace", false));
  CPNS_TRY(o.require_presence, body.boolean("presence", true));
  CPNS_TRY(o.allow_constant, body.boolean("allow_constant", false));
  CPNS_TRY(o.allow_repeats, body.boolean("allow_repeats", false));
  CPNS_TRY(const auto made, all.create(name ? std::move(*name) : std::string{}, o));
  return api::json_response(document_of(made), 201);
}

api::outcome show(device_imports& all, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {}));
  CPNS_TRY(const auto one, all.find(r.at("import")));
  return api::json_response(document_of(one));
}

api::checked<void> is_list(const api::request& r) {
  const auto type = std::string_view{r.content_type}.substr(0, r.content_type.find(';'));
  if (std::find(list_types.begin(), list_types.end(), type) != list_types.end()) return {};
  return api::refuse(
      415, "wrong-content-type",
      "the body must be text/csv, application/jsonl, application/x-ndjson or application/octet-stream",
      "Content-Type");
}

api::outcome receive(device_imports& all, const api::request& r, api::body_source& body) {
  CPNS_CHECK(api::only_parameters(r, {"offset"}));
  CPNS_TRY(const auto offset, api::number_parameter(r, "offset", 0, import_bytes_max, 0));
  CPNS_CHECK(is_list(r));
  CPNS_TRY(const auto now, all.receive(r.at("import"), offset,
                                       [&body](std::span<std::uint8_t> to) { return body.read(to); }));
  return api::json_response(document_of(now));
}

api::outcome finish(device_imports& all, const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"bytes"}));
  std::optional<std::uint64_t> bytes;
  if (body.has("bytes")) {
    CPNS_TRY(bytes, body.number("bytes", 0, import_bytes_max));
  }
  const api::change who{r.from, r.id, import_action, {}, nullptr, nullptr};
  CPNS_TRY(const auto now, all.finish(r.at("import"), who, bytes));
  return api::json_response(document_of(now), now.ended() ? 200 : 202);
}

api::checked<std::uint64_t> place_of(const std::string& after) {
  std::uint64_t n = 0;
  if (after.empty()) return n;
  const auto [end, ec] = std::from_chars(after.data(), after.data() + after.size(), n);
  if (ec != std::errc{} || end != after.data() + after.size())
    return api::refuse(400, "out-of-range", "'after' must be the member 'next' of the page before", "after");
  return n;
}

api::outcome results(device_imports& all, const api::request& r) {
  CPNS_CHECK(api::only_parameters(r, {"limit", "after"}));
  CPNS_TRY(const auto page, api::page_of(r));
  CPNS_TRY(const auto from, place_of(page.after));
  CPNS_TRY(const auto found, all.results(r.at("import"), from, page.limit + 1));
  json::array rows;
  for (std::size_t i = 0; i < std::min(found.size(), page.limit); ++i) {
    const auto& x = found[i];
    rows.push_back(json::object{{"line", x.line},
                                {"entity", text_or_null(x.entity)},
                                {"kind", x.warning ? "warning" : "bad"},
                                {"text", x.text}});
  }
  json::value next = nullptr;
  if (found.size() > page.limit) next = std::to_string(from + page.limit);
  return api::json_response(json::object{{"results", std::move(rows)}, {"next", std::move(next)}});
}

api::outcome forget(device_imports& all, const api::request& r) {
  CPNS_CHECK(api::json_body::read(r, {}));
  CPNS_CHECK(all.forget(r.at("import")));
  return api::empty_response();
}

using answer = api::outcome (*)(device_imports&, const api::request&);

api::route get(device_imports& all, std::string path, answer how) {
  return {.verb = api::verb::get, .path = std::move(path), .handle = [&all, how](const api::request& r) {
            return how(all, r);
          }};
}
/// The decision about the devices writes the lines of an import, not the single request.
api::route post(device_imports& all, std::string path, answer how) {
  return {.verb = api::verb::post,
          .path = std::move(path),
          .needs = api::level::admin,
          .handle = [&all, how](const api::request& r) { return how(all, r); },
          .action = import_action,
          .object = "import",
          .is_name = is_import_name,
          .records_itself = true};
}

}  // namespace

std::vector<api::route> import_routes(device_imports& imports) {
  api::route rows{.verb = api::verb::put,
                  .path = "/v1/imports/{import}/rows",
                  .needs = api::level::admin,
                  .handle_stream = [&imports](const api::request& r,
                                              api::body_source& body) { return receive(imports, r, body); },
                  .body_max = rows_body_max,
                  .action = import_action,
                  .object = "import",
                  .is_name = is_import_name,
                  .records_itself = true,
                  .at_once = receiving_max};
  api::route cancel{.verb = api::verb::del,
                    .path = "/v1/imports/{import}",
                    .needs = api::level::admin,
                    .handle = [&imports](const api::request& r) { return forget(imports, r); },
                    .action = "device-import-delete",
                    .object = "import",
                    .is_name = is_import_name,
                    .describe = [&imports](const api::request& r) -> json::value {
                      const auto one = imports.find(r.at("import"));
                      if (!one) return nullptr;
                      return json::object{{"state", one->state()},
                                          {"batch", one->record.batch},
                                          {"bytes", one->record.bytes}};
                    }};
  auto found = get(imports, "/v1/imports/{import}/results", results);
  found.needs = api::level::admin;  // as the list itself
  return {get(imports, "/v1/imports", list),
          post(imports, "/v1/imports", create),
          std::move(rows),
          post(imports, "/v1/imports/{import}/finish", finish),
          std::move(found),
          get(imports, "/v1/imports/{import}", show),
          std::move(cancel)};
}

}  // namespace cpns::server
