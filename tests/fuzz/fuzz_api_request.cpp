// A request of the HTTP API, from its header to the answer of a handler that reads everything that handlers read: any
// bytes give an answer, or a problem that is complete.
//
// The input is text: verb, target, Host, Origin, Sec-Fetch-Site, Content-Type, Cpns-Request-Id, Last-Event-ID and the
// level of the client (a digit; 'p' after it: on the port for probes, 't': over TLS), one line each, then the body.

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cstdlib>

#include "api/body.hpp"
#include "api/dispatch.hpp"
#include "base/bytes.hpp"

namespace {

using namespace cpns;
using namespace cpns::api;

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_text(const std::string& s) {
  std::string_view rest = s;
  while (!rest.empty()) {
    const auto n = utf8_length(as_bytes(rest));
    if (n == 0) return false;
    rest.remove_prefix(n);
  }
  return s.find('\0') == std::string::npos;
}

outcome list(const request& r) {
  CPNS_CHECK(only_parameters(r, {"limit", "after", "prefix"}));
  CPNS_TRY(const auto page, page_of(r));
  require(page.limit >= 1 && page.limit <= page_limit_max);
  return json_response(boost::json::object{{"prefix", text_parameter(r, "prefix")}, {"next", page.after}});
}

outcome change(const request& r) {
  CPNS_TRY(const auto body, json_body::read(r, {"name", "note", "password", "on", "count"}));
  CPNS_TRY(const auto name, body.text("name", 64));
  CPNS_TRY(const auto note, body.optional_text("note"));
  CPNS_TRY(const auto password, body.secret("password", 8, 64));
  CPNS_TRY(const auto on, body.boolean("on", false));
  CPNS_TRY(const auto count, body.number("count", 1, 1000, 7));
  require(!name.empty() && name.size() <= 64 && password.size() >= 8 && password.size() <= 64 && count >= 1 &&
          count <= 1000);
  const auto shown = body_without(r, {"password"});
  require(shown.is_object() && shown.at("password") == "(secret)");
  return json_response(boost::json::object{{"name", name}, {"on", on}, {"note", note.has_value()}});
}

route_table table() {
  route_table t;
  t.add({.verb = verb::get, .path = "/v1/things", .handle = list});
  t.add({.verb = verb::put,
         .path = "/v1/things/{thing}",
         .needs = level::operator_,
         .handle = change,
         .action = "put",
         .object = "thing"});
  t.add({.verb = verb::post,
         .path = "/v1/things/{thing}/{part}",
         .needs = level::admin,
         .handle = change,
         .action = "post"});
  t.add({.verb = verb::get, .path = "/health/live", .handle = list, .probe = true});
  return t;
}

void judge(const problem& p, std::string_view id) {
  require(p.status >= 400 && p.status < 600 && !p.code.empty() && !p.detail.empty());
  require((p.status == 405) == !p.allow.empty());
  const auto document = boost::json::parse(document_of(p, id)).as_object();
  require(document.at("code").as_string() == p.code && document.at("status") == p.status);
}

std::string_view take_line(std::string_view& from) {
  const auto end = std::min(from.find('\n'), from.size());
  const auto line = from.substr(0, end);
  from.remove_prefix(std::min(end + 1, from.size()));
  return line;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static boost::asio::thread_pool workers{1};
  static detail::shared_state shared{http_parts{.component = "server", .routes = table()}, workers, workers};
  std::string_view rest{reinterpret_cast<const char*>(data), size};
  std::array<std::string_view, 9> lines;
  for (auto& line : lines) line = take_line(rest);
  const detail::header_view header{lines[0], lines[1], lines[2], lines[3],
                                   lines[4], lines[5], lines[6], lines[7]};
  detail::origin from;
  from.at = lines[8].ends_with('p')   ? detail::door::probes
            : lines[8].ends_with('t') ? detail::door::tls
                                      : detail::door::unix_socket;
  if (from.at == detail::door::tls) from.own_hosts = {"localhost", "cpns.example.org:7480"};
  from.who.level =
      static_cast<level>(lines[8].empty() ? 0 : static_cast<unsigned char>(lines[8].front()) % 4);

  const auto id = detail::id_of(header);
  require(!id.empty() && id.size() <= 64);
  auto ready = detail::prepare(shared, from, id, header);
  if (!ready) {
    judge(ready.error(), id);
    return 0;
  }
  require(from.at == detail::door::probes ? ready->to->probe : from.who.level >= ready->to->needs);
  require(!changes(ready->asked.verb) || !lines[6].empty());
  for (const auto& [name, value] : ready->asked.path_values) require(!value.empty() && is_text(value));
  for (const auto& [name, value] : ready->asked.query) require(is_text(name) && is_text(value));
  ready->asked.body = secret_bytes::from_text(rest);
  const auto answer = detail::run(shared, *ready->to, ready->asked, nullptr);
  if (!answer) {
    judge(answer.error(), id);
    return 0;
  }
  require(answer->status == 200 && !answer->body.empty());
  (void)boost::json::parse(answer->body);
  return 0;
}
