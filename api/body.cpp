#include "api/body.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>

#include "api/strict_json.hpp"
#include "base/text.hpp"

namespace cpns::api {
namespace {

namespace json = boost::json;
using detail::wiping_memory;

std::string listed(std::initializer_list<std::string_view> names) {
  std::string out;
  for (const auto n : names) out += (out.empty() ? "" : ", ") + std::string{n};
  return out.empty() ? "none" : out;
}

tl::unexpected<problem> wrong_type(std::string_view field, std::string_view expected) {
  return refuse(400, "wrong-type", "'" + std::string{field} + "' must be " + std::string{expected},
                std::string{field});
}

std::string not_known(std::string_view what, std::string_view name,
                      std::initializer_list<std::string_view> known) {
  const auto near = nearest(name, known);
  return shown(name) + " is not a " + std::string{what} + " of this request" +
         (near ? "; did you mean '" + std::string{*near} + "'?" : "") + " (it has: " + listed(known) + ")";
}

bool is_json(std::string_view type) {
  const auto end = std::min(type.find(';'), type.size());
  auto plain = type.substr(0, end);
  while (!plain.empty() && plain.back() == ' ') plain.remove_suffix(1);
  return plain == "application/json";
}

tl::unexpected<problem> bad_json(const detail::json_fault& fault) {
  return refuse(400, "bad-json",
                fault.member.empty() ? "the body is not JSON: " + fault.text
                                     : "the member " + shown(fault.member) + " occurs twice in the body",
                fault.member);
}

}  // namespace

struct json_body::memory {
  wiping_memory of_document;
};

json_body::json_body() : memory_(std::make_unique<memory>()) {}
json_body::json_body(json_body&&) noexcept = default;
json_body::~json_body() = default;

checked<json_body> json_body::read(const request& r, std::initializer_list<std::string_view> known) {
  json_body out;
  if (r.body.empty()) {
    out.value_ =
        std::make_unique<json::value>(json::object_kind, json::storage_ptr(&out.memory_->of_document));
    return out;
  }
  if (!is_json(r.content_type))
    return refuse(415, "wrong-content-type",
                  "the body must be JSON, with the header 'Content-Type: application/json'", "Content-Type");
  auto parsed = detail::parse_strictly(out.memory_->of_document, as_text(r.body.expose()));
  if (!parsed) return bad_json(parsed.error());
  out.value_ =
      std::make_unique<json::value>(std::move(*parsed), json::storage_ptr(&out.memory_->of_document));
  if (!out.value_->is_object()) return refuse(400, "bad-json", "the body must be a JSON object");
  for (const auto& [key, value] : out.value_->get_object()) {
    const std::string_view name{key.data(), key.size()};
    if (std::find(known.begin(), known.end(), name) == known.end())
      return refuse(400, "unknown-field", not_known("field", name, known), std::string{name});
  }
  return out;
}

bool json_body::has(std::string_view field) const {
  const auto* v = value_->get_object().if_contains(field);
  return v != nullptr && !v->is_null();
}

checked<std::string> json_body::text(std::string_view field, std::size_t max) const {
  auto found = optional_text(field, max);
  if (!found) return fail(std::move(found).error());
  if (!*found)
    return refuse(400, "missing-field", "'" + std::string{field} + "' is missing", std::string{field});
  return std::move(**found);
}

checked<std::optional<std::string>> json_body::optional_text(std::string_view field, std::size_t max) const {
  if (!has(field)) return std::optional<std::string>{};
  const auto& v = value_->get_object().at(field);
  if (!v.is_string()) return wrong_type(field, "a string");
  const auto& s = v.get_string();
  if (s.empty() || s.size() > max)
    return refuse(400, "out-of-range",
                  "'" + std::string{field} + "' must have 1 to " + std::to_string(max) + " bytes",
                  std::string{field});
  return std::optional<std::string>{std::in_place, s.data(), s.size()};
}

checked<std::optional<std::string>> json_body::optional_name(std::string_view field, std::size_t max) const {
  auto out = optional_text(field, max);
  if (out && *out && has_controls(**out))
    return refuse(400, "out-of-range", "'" + std::string{field} + "' must not have control characters",
                  std::string{field});
  return out;
}

checked<text_map> json_body::texts(std::string_view field) const {
  constexpr std::size_t members_max = 64, bytes_max = 1024;
  text_map out;
  if (!has(field)) return out;
  const auto* o = value_->get_object().at(field).if_object();
  if (o == nullptr) return wrong_type(field, "an object");
  if (o->size() > members_max)
    return refuse(400, "out-of-range", "'" + std::string{field} + "' has too many members",
                  std::string{field});
  const auto bad = [](const std::string& text) {
    return text.size() > bytes_max ||
           std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; });
  };
  for (const auto& [key, value] : *o) {
    if (value.is_null() || value.is_structured())
      return wrong_type(field, "an object of texts, numbers, true and false");
    const std::string name{key.data(), key.size()};
    auto text = value.is_string() ? std::string{value.get_string().data(), value.get_string().size()}
                                  : json::serialize(value);
    if (name.empty() || bad(name) || bad(text))
      return refuse(400, "out-of-range",
                    "a member of '" + std::string{field} + "' is too long or has control characters",
                    std::string{field});
    out.emplace(name, std::move(text));
  }
  return out;
}

checked<std::vector<std::string>> json_body::text_list(std::string_view field, std::size_t items_max,
                                                       std::size_t bytes_max) const {
  const std::string name{field};
  if (!has(field)) return refuse(400, "missing-field", "'" + name + "' is missing", name);
  const auto* a = value_->get_object().at(field).if_array();
  if (a == nullptr) return wrong_type(field, "an array of texts");
  std::vector<std::string> out;
  for (const auto& v : *a) {
    if (!v.is_string()) return wrong_type(field, "an array of texts");
    out.emplace_back(v.get_string().data(), v.get_string().size());
  }
  const auto bad = [bytes_max](const auto& text) { return text.empty() || text.size() > bytes_max; };
  if (out.empty() || out.size() > items_max || std::any_of(out.begin(), out.end(), bad))
    return refuse(400, "out-of-range",
                  "'" + name + "' must have 1 to " + std::to_string(items_max) + " texts of 1 to " +
                      std::to_string(bytes_max) + " bytes",
                  name);
  return out;
}

checked<secret_bytes> json_body::secret(std::string_view field, std::size_t min, std::size_t max) const {
  if (!has(field))
    return refuse(400, "missing-field", "'" + std::string{field} + "' is missing", std::string{field});
  const auto& v = value_->get_object().at(field);
  if (!v.is_string()) return wrong_type(field, "a string");
  const auto& s = v.get_string();
  if (s.size() < min || s.size() > max)
    return refuse(400, "out-of-range",
                  "'" + std::string{field} + "' must have " + std::to_string(min) + " to " +
                      std::to_string(max) + " bytes",
                  std::string{field});
  return secret_bytes::from_text({s.data(), s.size()});
}

checked<secret_bytes> json_body::secret_line(std::string_view field, std::size_t min, std::size_t max) const {
  auto out = secret(field, min, max);
  if (out && as_text(out->expose()).find_first_of(std::string_view{"\n\r\0", 3}) != std::string_view::npos)
    return refuse(400, "out-of-range",
                  "'" + std::string{field} + "' must be one line: other programs read the first line alone",
                  std::string{field});
  return out;
}

checked<bool> json_body::boolean(std::string_view field, bool if_missing) const {
  if (!has(field)) return if_missing;
  const auto& v = value_->get_object().at(field);
  if (!v.is_bool()) return wrong_type(field, "true or false");
  return v.get_bool();
}

checked<std::uint64_t> json_body::number(std::string_view field, std::uint64_t min, std::uint64_t max,
                                         std::optional<std::uint64_t> if_missing) const {
  if (!has(field)) {
    if (if_missing) return *if_missing;
    return refuse(400, "missing-field", "'" + std::string{field} + "' is missing", std::string{field});
  }
  const auto& v = value_->get_object().at(field);
  boost::system::error_code ec;
  const auto n = v.to_number<std::uint64_t>(ec);
  if (ec || v.is_double()) return wrong_type(field, "a whole number");
  if (n < min || n > max)
    return refuse(400, "out-of-range",
                  "'" + std::string{field} + "' must be " + std::to_string(min) + " to " +
                      std::to_string(max),
                  std::string{field});
  return n;
}

checked<void> check_json(const request& r) {
  if (r.body.empty() || !is_json(r.content_type)) return {};
  wiping_memory memory;
  const auto parsed = detail::parse_strictly(memory, as_text(r.body.expose()));
  if (!parsed) return bad_json(parsed.error());
  return {};
}

json::value body_without(const request& r, const std::vector<std::string>& secrets) {
  wiping_memory memory;
  const auto parsed = detail::parse_strictly(memory, as_text(r.body.expose()));
  if (!parsed || !parsed->is_object()) return nullptr;
  json::object out;
  for (const auto& [key, value] : parsed->get_object()) {
    const std::string name{key.data(), key.size()};
    const bool is_secret = std::find(secrets.begin(), secrets.end(), name) != secrets.end();
    if (is_secret)
      out[name] = "(secret)";
    else
      out.emplace(name, value);
  }
  return out;
}

checked<void> only_parameters(const request& r, std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : r.query)
    if (std::find(known.begin(), known.end(), name) == known.end())
      return refuse(400, "unknown-parameter", not_known("parameter", name, known), name);
  for (const auto& [name, value] : r.query)
    if (value.empty() && name != "prefix")  // every name begins with an empty prefix
      return refuse(400, "out-of-range", "'" + name + "' is empty; leave the parameter out", name);
  return {};
}

checked<std::uint64_t> number_parameter(const request& r, std::string_view name, std::uint64_t min,
                                        std::uint64_t max, std::uint64_t if_missing) {
  const auto it = r.query.find(name);
  if (it == r.query.end()) return if_missing;
  const auto& text = it->second;
  std::uint64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc{} || end != text.data() + text.size() || n < min || n > max)
    return refuse(400, "out-of-range",
                  "'" + std::string{name} + "' must be a number from " + std::to_string(min) + " to " +
                      std::to_string(max),
                  std::string{name});
  return n;
}

std::string text_parameter(const request& r, std::string_view name) {
  const auto it = r.query.find(name);
  return it == r.query.end() ? std::string{} : it->second;
}

checked<page_wanted> page_of(const request& r) {
  page_wanted out;
  const auto limit = number_parameter(r, "limit", 1, page_limit_max, page_limit_default);
  if (!limit) return fail(limit.error());
  out.limit = static_cast<std::size_t>(*limit);
  out.after = text_parameter(r, "after");
  return out;
}

response json_response(const json::value& v, unsigned status) {
  response out;
  out.status = status;
  out.body = json::serialize(v) + "\n";
  return out;
}

response empty_response() {
  response out;
  out.status = 204;
  out.type.clear();
  return out;
}

}  // namespace cpns::api
