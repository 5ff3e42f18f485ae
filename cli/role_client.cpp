#include "cli/role_client.hpp"

#include <boost/json.hpp>
#include <iostream>

#include "api/routes.hpp"
#include "cli/terminal.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "config/values.hpp"

namespace cpns::cli {
namespace {

constexpr std::string_view scheme = "https://";

result<config::address> address_in(const std::string& url) {
  if (!url.starts_with(scheme)) return fail(errc::config_usage, "--url: write https://HOST:PORT");
  auto rest = url.substr(scheme.size());
  if (rest.ends_with('/')) rest.pop_back();
  auto at = config::parse_address(rest);
  if (!at) return fail(errc::config_usage, "--url: " + at.error().detail);
  return at;
}

result<api::client> connect_remote(const role_options& o) {
  CPNS_TRY(const auto at, address_in(o.url));
  if (o.cert.empty() || o.key.empty() || o.ca.empty())
    return fail(errc::config_usage, "--url needs --cert FILE, --key FILE and --ca FILE");
  return api::client::connect(at, crypto::tls_files{o.ca, o.cert, o.key});
}

result<config::api_config> api_of(const std::string& file, config::role_kind role) {
  const auto api = [](const auto& loaded) -> result<config::api_config> {
    if (!loaded) return fail(loaded.error().as_error());
    return loaded->api;
  };
  switch (role) {
  case config::role_kind::server: return api(config::load_server(file));
  case config::role_kind::gateway: return api(config::load_gateway(file));
  case config::role_kind::pne: break;
  }
  return api(config::load_pne(file));
}

}  // namespace

void add_remote_options(CLI::App& command, role_options& o) {
  const std::string role{config::word_of(o.role)};
  command.add_option("--socket", o.socket, "The API socket of the " + role + ", instead of --config");
  command.add_option("--url", o.url,
                     "The " + role +
                         " on any machine, instead of --config: https://HOST:PORT, as its api.listen; "
                         "needs --cert, --key and --ca");
  command.add_option("--cert", o.cert, "With --url: PEM file with your certificate, then its intermediates");
  command.add_option("--key", o.key,
                     "With --url: PEM file with the private key of that certificate, mode 0600");
  command.add_option("--ca", o.ca,
                     "With --url: PEM file with the CA that signed the certificate of the " + role);
}

void add_role_options(CLI::App& command, role_options& o) {
  command.add_option("--config", o.config,
                     "The YAML file of the " + std::string{config::word_of(o.role)} +
                         ", which names its API socket");
  add_remote_options(command, o);
}

result<api::client> connect_role(const role_options& o) {
  if (o.remote() && !o.socket.empty())
    return fail(errc::config_usage, "--url and --socket exclude each other; leave one out");
  if (o.remote()) return connect_remote(o);
  if (!(o.cert.empty() && o.key.empty() && o.ca.empty()))
    return fail(errc::config_usage, "--cert, --key and --ca belong to --url; leave them out");
  if (o.config.empty() && o.socket.empty())
    return fail(errc::config_usage, "name the " + std::string{config::word_of(o.role)} +
                                        " with --config FILE, --socket PATH or --url https://HOST:PORT");
  if (!o.socket.empty()) return api::client::connect(o.socket);
  CPNS_TRY(const auto c, api_of(o.config, o.role));
  return connect_role(c);
}

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

int report_running(const error& locked, const api::problem& why) {
  if (why.code != "peer-closed" && why.code != "config-missing") return report(why);
  return report(error{locked.code, locked.detail + " (its API cannot be asked: " + why.detail + ")"});
}

}  // namespace cpns::cli
