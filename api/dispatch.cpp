#include "api/dispatch.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <exception>

#include "api/body.hpp"
#include "base/bytes.hpp"
#include "base/entropy.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "crypto/suite.hpp"

namespace cpns::api::detail {
namespace {

constexpr std::size_t request_id_max = 64;
constexpr unsigned forbidden_status = 403;

/// HEAD is a GET whose body the session leaves out.
std::optional<verb> verb_of(std::string_view text) {
  if (text == "HEAD") return verb::get;
  for (const auto v : {verb::get, verb::post, verb::put, verb::patch, verb::del})
    if (text == name_of(v)) return v;
  return std::nullopt;
}

bool is_request_id(std::string_view text) {
  return !text.empty() && text.size() <= request_id_max && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == ':';
  });
}

std::string_view without_scheme(std::string_view origin) {
  const auto at = origin.find("://");
  return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

bool is_same_host(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y); });
}

std::string one_of(const std::vector<std::string>& names) {
  std::string out;
  for (auto n = names.begin(); n != names.end(); ++n)
    if (std::find(names.begin(), n, *n) == n) out += (out.empty() ? "" : " or ") + *n;
  return out;
}

/// Pages of other sites reach a loopback port under a name of their own (DNS rebinding), with their own Origin.
std::optional<problem> foreign(const std::vector<std::string>& own, const header_view& h) {
  const auto is_this = [&h](const std::string& host) { return is_same_host(host, h.host); };
  if (!own.empty() && std::none_of(own.begin(), own.end(), is_this))
    return problem{421, "wrong-host", "the header Host must be " + one_of(own) + ", not " + shown(h.host),
                   "Host"};
  if (!h.origin.empty() && without_scheme(h.origin) != h.host)
    return problem{403, "foreign-origin",
                   "a page of " + shown(h.origin) + " may not send requests to this role", "Origin"};
  if (h.fetch_site == "cross-site" || h.fetch_site == "same-site")
    return problem{403, "foreign-origin", "a page of another site may not send requests to this role",
                   "Sec-Fetch-Site"};
  return std::nullopt;
}

problem no_route(const std::vector<verb>& all, std::string_view path) {
  if (all.empty()) return {404, "no-such-path", "there is nothing at " + shown(path)};
  std::string verbs;
  for (const auto v : all)
    verbs += (verbs.empty() ? "" : ", ") + std::string{name_of(v)} + (v == verb::get ? ", HEAD" : "");
  problem out{405, "wrong-method", "this path has: " + verbs};
  out.allow = verbs;
  return out;
}

/// The member `name` of a body that is an object of JSON.
std::string text_in(const boost::json::value& body, const std::string& name) {
  const auto* members = body.if_object();
  const auto* text = members == nullptr ? nullptr : members->if_contains(name);
  if (text == nullptr || !text->is_string()) return {};
  return {text->get_string().data(), text->get_string().size()};
}

/// The name of the object, if it can be one: a client may put a secret in its place.
std::string object_of(const route& to, const request& asked) {
  const auto it = asked.path_values.find(to.object);
  auto name =
      it != asked.path_values.end() ? it->second : text_in(body_without(asked, to.secret_members), to.object);
  return to.is_name && to.is_name(name) ? name : std::string{};
}

/// The secrets that the body has, hidden. Any other member may hold a secret, too, until the handler has read it.
boost::json::value secrets_of(const route& to, const request& asked) {
  if (to.secret_members.empty() || asked.body.empty()) return nullptr;
  const auto body = body_without(asked, to.secret_members);
  boost::json::object out;
  for (const auto& name : to.secret_members)
    if (const auto* hidden = body.is_object() ? body.get_object().if_contains(name) : nullptr)
      out[name] = *hidden;
  return out;
}

outcome call(const route& to, const request& asked, body_source* body) {
  try {
    return body != nullptr ? to.handle_stream(asked, *body) : to.handle(asked);
  } catch (const std::exception& e) {
    return fail(problem{error{errc::internal, e.what()}});
  }
}

outcome call_recorded(change_log& changes, const route& to, const request& asked, body_source* body) {
  change c{asked.from, asked.id,      to.action, object_of(to, asked), secrets_of(to, asked),
           nullptr,    to.needs_store};
  if (const auto good = check_json(asked); !good) {
    changes.refused(c, good.error());
    return tl::unexpected<problem>(good.error());
  }
  if (to.describe) c.before = to.describe(asked);
  if (to.foretell) c.wanted = to.foretell(asked, c.before);
  const auto intent = changes.begin(c);
  if (!intent)
    return refuse(507, "audit-unwritable",
                  "nothing was changed, because the audit trail cannot be written: " +
                      intent.error().message());
  auto answer = call(to, asked, body);
  changes.finish(*intent, answer ? nullptr : &answer.error(),
                 to.describe ? to.describe(asked) : boost::json::value{});
  return answer;
}

}  // namespace

std::string id_of(const header_view& h) {
  return is_request_id(h.request_id) ? std::string{h.request_id} : to_hex(crypto::system_entropy().draw<8>());
}

tl::expected<prepared, problem> prepare(shared_state& shared, const origin& from, const std::string& id,
                                        const header_view& h) {
  prepared out;
  auto& r = out.asked;
  r.from = from.who;
  r.id = id;
  if (!h.request_id.empty() && !is_request_id(h.request_id))
    return refuse(400, "bad-request-id",
                  "the header Cpns-Request-Id has 1 to 64 letters, digits, '-', '_', '.' and ':'",
                  "Cpns-Request-Id");
  if (auto no = foreign(from.own_hosts, h)) return tl::unexpected<problem>(std::move(*no));
  const auto v = verb_of(h.verb);
  const auto mark = std::min(h.target.find('?'), h.target.size());
  r.path = h.target.substr(0, mark);
  auto found = v ? shared.parts.routes.find(*v, r.path) : route_match{};
  const bool probes = from.at == door::probes;
  if (found.to == nullptr || (probes && !found.to->probe))
    return tl::unexpected<problem>(no_route(shared.parts.routes.verbs_of(r.path, probes), r.path));
  r.verb = *v;
  r.head = h.verb == "HEAD";
  if (from.at != door::probes && from.who.level < found.to->needs) {
    ++shared.forbidden;
    return refuse(403, "forbidden",
                  from.who.text() + " is " + std::string{word_of(from.who.level)} + "; this request needs " +
                      std::string{word_of(found.to->needs)} +
                      (from.who.local ? " (api.groups)" : " (api.certificates)"));
  }
  if (changes(*v) && h.request_id.empty())
    return refuse(403, "no-request-id",
                  "a change needs the header Cpns-Request-Id, a name that you choose for the request",
                  "Cpns-Request-Id");
  auto query = parse_query(h.target.substr(std::min(mark + 1, h.target.size())));
  if (!query) return refuse(400, "bad-query", "the query is malformed, or has a name twice");
  if (changes(*v) && !found.to->handle_stream && !query->empty())
    return refuse(400, "unknown-parameter",
                  "a change has its values in the body; remove the query from the path",
                  query->begin()->first);
  out.to = found.to;
  r.path_values = std::move(found.values);
  r.query = std::move(*query);
  r.content_type = h.content_type;
  r.last_event = h.last_event;
  return out;
}

outcome run(shared_state& shared, const route& to, const request& asked, body_source* body) {
  auto answer = shared.parts.changes != nullptr && !to.action.empty() && !to.records_itself
                    ? call_recorded(*shared.parts.changes, to, asked, body)
                    : call(to, asked, body);
  if (answer) return answer;
  if (answer.error().status >= 500)
    log::warn(shared.parts.component, "api-failed", answer.error().detail,
              {{"request", asked.id}, {"path", asked.path}, {"peer", asked.from.text()}});
  return answer;
}

void record_refusal(shared_state& shared, const peer& from, const std::string& id, const header_view& h,
                    const problem& why) {
  const auto v = verb_of(h.verb);
  if (shared.parts.changes == nullptr || !v || (!changes(*v) && why.status != forbidden_status)) return;
  const std::string path{h.target.substr(0, std::min(h.target.find('?'), h.target.size()))};
  const auto found = shared.parts.routes.find(*v, path);
  if (found.to == nullptr) return;
  // The pattern of the path: a client may put a secret into the path itself.
  if (!changes(*v))
    return shared.parts.changes->refused({from, id, "read", found.to->path, nullptr, nullptr}, why);
  if (found.to->action.empty()) return;
  request asked;
  asked.from = from;
  asked.id = id;
  asked.path_values = found.values;
  record_refusal(shared, *found.to, asked, why);
}

void record_refusal(shared_state& shared, const route& to, const request& asked, const problem& why) {
  if (shared.parts.changes == nullptr || to.action.empty()) return;
  shared.parts.changes->refused({asked.from, asked.id, to.action, object_of(to, asked), nullptr, nullptr},
                                why);
}

}  // namespace cpns::api::detail
