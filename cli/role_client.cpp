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
  secret_bytes content;
  if (body) {
    auto text = boost::json::serialize(*body);
    content = secret_bytes::from_text(text);
    wipe(text);
  }
  return ask_role(role, v, target, std::move(content));
}

tl::expected<boost::json::value, api::problem> ask_role(api::client& role, api::verb v,
                                                        const std::string& target, secret_bytes body) {
  api::sent_body sent;
  sent.content = std::move(body);
  CPNS_TRY(const auto answer, role.ask(v, target, sent));
  if (!answer.good()) return tl::unexpected<api::problem>(api::problem_of(answer));
  if (answer.body.empty()) return boost::json::value{};
  boost::system::error_code ec;
  auto parsed = boost::json::parse(answer.body, ec);
  if (ec) return api::refuse(500, "internal", "the answer of the role is not JSON");
  return parsed;
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
