#include "audit/line.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "base/text.hpp"
#include "crypto/suite.hpp"

namespace cpns::audit {
namespace {

namespace json = boost::json;

constexpr std::string_view mac_head = ",\"mac\":\"";
constexpr std::string_view mac_tail = "\"}";
constexpr std::size_t mac_digits = 64;
constexpr std::size_t mac_part = mac_head.size() + mac_digits + mac_tail.size();
constexpr int state_depth_max = 8;
constexpr std::string_view replacement = "\xef\xbf\xbd";

line_mac mac_of(std::string_view body, const secret32& key) {
  line_mac out;
  const auto mac = crypto::openssl_suite().hmac(key.expose(), as_bytes(body));
  std::copy(mac.expose().begin(), mac.expose().end(), out.begin());
  return out;
}

std::optional<line_mac> mac_in(std::string_view digits) {
  const auto raw = from_hex(digits);
  // from_hex takes capitals, too; a line has one form only.
  if (!raw || raw->size() != line_mac{}.size() || to_hex(*raw) != digits) return std::nullopt;
  return first<line_mac{}.size()>(*raw);
}

json::string_view view(std::string_view t) { return {t.data(), t.size()}; }
std::string_view text_of_json(const json::string& s) { return {s.data(), s.size()}; }

void put_text(json::object& to, std::string_view key, std::string_view text,
              std::size_t max = short_text_max) {
  if (!text.empty()) to[view(key)] = clean_text(text, max);
}

template <class N>
void put_number(json::object& to, std::string_view key, const std::optional<N>& n) {
  if (n) to[view(key)] = static_cast<std::int64_t>(*n);
}

json::object fields_of(const principal& p) {
  json::object out;
  put_number(out, "uid", p.uid);
  put_number(out, "gid", p.gid);
  put_number(out, "pid", p.pid);
  put_number(out, "login_uid", p.login_uid);
  put_text(out, "user", p.user);
  put_text(out, "executable", p.executable);
  put_text(out, "certificate", p.certificate);
  put_text(out, "address", p.address);
  return out;
}

json::object begin_of(std::string_view kind, const change& c) {
  json::object out{{"kind", view(kind)}};
  put_text(out, "request", c.request);
  out["via"] = view(name_of(c.via));
  out["who"] = fields_of(c.who);
  put_text(out, "action", c.action);
  put_text(out, "object", c.object, text_max);
  return out;
}

/// Whether JSON has this value: Boost.JSON writes infinity as a word that JSON does not have.
bool can_be_written(const json::value& v) { return !v.is_double() || std::isfinite(v.get_double()); }

/// Too deep a state becomes null: Boost.JSON does not limit the depth of values that a program builds. So does a number
/// that JSON cannot express.
json::value clean_value(const json::value& v, int depth) {
  if (depth > state_depth_max || !can_be_written(v)) return nullptr;
  if (const auto* s = v.if_string()) return json::value(clean_text(text_of_json(*s), state_max));
  if (const auto* a = v.if_array()) {
    json::array out;
    for (const auto& one : *a) out.push_back(clean_value(one, depth + 1));
    return out;
  }
  if (const auto* o = v.if_object()) {
    json::object out;
    for (const auto& [key, one] : *o)
      out[view(clean_text({key.data(), key.size()}, short_text_max))] = clean_value(one, depth + 1);
    return out;
  }
  return v;
}

std::string text_in(const json::object& o, std::string_view key) {
  const auto* v = o.if_contains(view(key));
  const auto* s = v == nullptr ? nullptr : v->if_string();
  return s == nullptr ? std::string{} : std::string(text_of_json(*s));
}

json::value value_in(const json::object& o, std::string_view key) {
  const auto* v = o.if_contains(view(key));
  return v == nullptr ? json::value(nullptr) : *v;
}

}  // namespace

std::string_view genuine_line::text(std::string_view key) const {
  const auto* v = fields.if_contains(view(key));
  const auto* s = v == nullptr ? nullptr : v->if_string();
  return s == nullptr ? std::string_view{} : text_of_json(*s);
}

std::uint64_t genuine_line::count(std::string_view key) const {
  const auto* v = fields.if_contains(view(key));
  if (v == nullptr) return 0;
  if (const auto* n = v->if_int64()) return *n > 0 ? static_cast<std::uint64_t>(*n) : 0;
  const auto* n = v->if_uint64();
  return n == nullptr ? 0 : *n;
}

void append_line(std::string& out, link& at, const json::object& fields, time_point now,
                 const secret32& key) {
  json::object o;
  o["number"] = at.number + 1;
  o["time"] = rfc3339_text(now);
  for (const auto& [name, value] : fields) o[name] = clean_value(value, 0);
  o["previous"] = to_hex(at.mac);
  auto body = json::serialize(o);
  body.pop_back();  // the closing brace
  at = {at.number + 1, mac_of(body, key)};
  out += body;
  out += mac_head;
  out += to_hex(at.mac);
  out += mac_tail;
  out += '\n';
}

std::optional<genuine_line> read_line(std::string_view line, const secret32& key) {
  if (line.size() <= mac_part || !line.ends_with(mac_tail)) return std::nullopt;
  const auto body = line.substr(0, line.size() - mac_part);
  const auto rest = line.substr(body.size());
  if (!rest.starts_with(mac_head)) return std::nullopt;
  const auto mac = mac_in(rest.substr(mac_head.size(), mac_digits));
  if (!mac || !equal_constant_time(*mac, mac_of(body, key))) return std::nullopt;
  boost::system::error_code ec;
  auto parsed = json::parse(view(line), ec);
  if (ec || !parsed.is_object()) return std::nullopt;
  genuine_line out;
  out.fields = std::move(parsed.get_object());
  const auto previous = mac_in(out.text("previous"));
  if (!previous) return std::nullopt;
  out.previous = *previous;
  out.at = {out.count("number"), *mac};
  return out;
}

std::string clean_text(std::string_view text, std::size_t max) {
  constexpr std::string_view more = "...";
  std::string out;
  while (!text.empty()) {
    const auto length = utf8_length(as_bytes(text));
    const auto part = length == 0 ? replacement : text.substr(0, length);
    if (out.size() + part.size() > max) {
      while (out.size() + more.size() > max) {
        while (!out.empty() && (static_cast<unsigned char>(out.back()) & 0xc0) == 0x80) out.pop_back();
        if (!out.empty()) out.pop_back();
      }
      return out += more;
    }
    out += part;
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

json::value clean_state(const json::value& v) {
  auto out = clean_value(v, 0);
  const auto size = json::serialize(out).size();
  if (size <= state_max) return out;
  return json::object{{"left_out_bytes", size}};
}

json::object intent_fields(const change& c) {
  auto out = begin_of("intent", c);
  out["before"] = clean_state(c.before);
  out["after"] = clean_state(c.after);
  return out;
}

json::object outcome_fields(const unfinished& of, const outcome& o, bool recovered) {
  json::object out{{"kind", "outcome"}, {"intent", of.number}};
  put_text(out, "request", of.request);
  put_text(out, "action", of.action);
  put_text(out, "object", of.object, text_max);
  out["outcome"] = view(name_of(o.is));
  put_text(out, "reason", o.reason, text_max);
  if (!o.after.is_null()) out["after"] = clean_state(o.after);
  if (recovered) out["recovered"] = true;
  return out;
}

json::object refusal_fields(const change& c, std::string_view reason) {
  auto out = begin_of("refused", c);
  put_text(out, "reason", reason, text_max);
  return out;
}

std::string open_text(const json::object& intent) {
  json::object out;
  for (const auto* key : {"request", "action", "object", "before", "after"})
    if (const auto* v = intent.if_contains(key)) out[key] = *v;
  return json::serialize(out);
}

std::optional<unfinished> read_open_text(std::uint64_t number, std::string_view text) {
  boost::system::error_code ec;
  const auto parsed = json::parse(view(text), ec);
  const auto* o = ec ? nullptr : parsed.if_object();
  if (o == nullptr) return std::nullopt;
  return unfinished{number,
                    text_in(*o, "request"),
                    text_in(*o, "action"),
                    text_in(*o, "object"),
                    value_in(*o, "before"),
                    value_in(*o, "after")};
}

}  // namespace cpns::audit
