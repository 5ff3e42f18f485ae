#include "cli/role_client.hpp"

#include <boost/json.hpp>
#include <iostream>

#include "api/routes.hpp"
#include "cli/terminal.hpp"

namespace cpns::cli {

result<api::client> connect_role(const config::api_config& c) {
  if (!c.socket)
    return fail(errc::config_missing, "the role has no API: its configuration has 'api.socket: none'");
  return api::client::connect(c.socket->string());
}

tl::expected<boost::json::value, api::problem> ask_role(api::client& role, api::verb v,
                                                        const std::string& target,
                                                        const std::optional<boost::json::value>& body) {
  api::sent_body sent;
  if (body) {
    auto text = boost::json::serialize(*body);
    sent.content = secret_bytes::from_text(text);
    wipe(text);
  }
  CPNS_TRY(const auto answer, role.ask(v, target, sent));
  if (!answer.good()) return tl::unexpected<api::problem>(api::problem_of(answer));
  if (answer.body.empty()) return boost::json::value{};
  boost::system::error_code ec;
  auto parsed = boost::json::parse(answer.body, ec);
  if (ec) return api::refuse(500, "internal", "the answer of the role is not JSON");
  return parsed;
}

tl::expected<void, api::problem> ask_for_all(api::client& role, const std::string& target,
                                             const std::string& member,
                                             const std::function<void(const boost::json::object&)>& take) {
  const auto first = target + (target.find('?') == std::string::npos ? "?" : "&") + "limit=1000";
  for (auto page = first;;) {
    CPNS_TRY(const auto answer, ask_role(role, api::verb::get, page));
    const auto& rows = answer.at(member).as_array();
    for (const auto& row : rows) take(row.as_object());
    const auto& next = answer.at("next");
    if (!next.is_string()) return {};
    const auto& after = next.get_string();
    page = first + "&after=" + api::encode_percent({after.data(), after.size()});
  }
}

int print_all(api::client& role, const std::string& target, const std::string& member, bool as_json,
              std::string_view heading, const std::function<void(const boost::json::object&)>& print) {
  std::cout << (as_json ? "{\"" + member + "\": [" : paint(colour::bold, heading) + "\n");
  const char* between = "\n";
  const auto done = ask_for_all(role, target, member, [&](const boost::json::object& row) {
    if (!as_json) return print(row);
    std::cout << between << boost::json::serialize(row);
    between = ",\n";
  });
  if (!done) return report(done.error());
  if (as_json) std::cout << "]}\n";
  return exit_done;
}

std::string text_of(const boost::json::object& o, std::string_view member) {
  const auto* v = o.if_contains(member);
  if (v == nullptr) return "-";
  return v->is_string() ? std::string{v->get_string().data(), v->get_string().size()}
                        : boost::json::serialize(*v);
}

tl::expected<void, api::problem> command_devices(api::client& role, const std::string& what,
                                                 const std::string& entity) {
  const auto which = entity.empty() ? std::string{"*"} : api::encode_percent(entity);
  CPNS_CHECK(ask_role(role, api::verb::post, "/v1/devices/" + which + "/" + what));
  return {};
}

int report(const api::problem& p) {
  std::cerr << "cpns: " << p.detail << "\n";
  return exit_failed;
}

}  // namespace cpns::cli
