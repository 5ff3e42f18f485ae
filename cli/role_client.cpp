#include "cli/role_client.hpp"

#include <boost/json.hpp>
#include <iostream>
#include <utility>

#include "api/routes.hpp"
#include "cli/terminal.hpp"
#include "config/describe.hpp"
#include "config/loader.hpp"
#include "config/values.hpp"

namespace cpns::cli {
namespace {

constexpr std::string_view scheme = "https://";
constexpr unsigned forbidden = 403;

result<config::address> address_in(const std::string& url) {
  if (!url.starts_with(scheme)) return fail(errc::config_usage, "--url: write https://HOST:PORT");
  auto rest = url.substr(scheme.size());
  if (rest.ends_with('/')) rest.pop_back();
  if (rest.find('/') != std::string::npos)
    return fail(errc::config_usage, "--url: write https://HOST:PORT, without a path");
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

result<api::client> connect_socket(const std::string& path) {
  auto connected = api::client::connect(path);
  if (!connected && connected.error() == errc::peer_closed)
    return fail(errc::peer_closed,
                connected.error().detail + "; start the role, or name the socket of a running one");
  return connected;
}

result<config::api_config> api_of(const std::string& file, std::optional<config::role_kind> role) {
  const auto api = [](const auto& loaded) -> result<config::api_config> {
    if (!loaded) return fail(loaded.error().as_error());
    return loaded->api;
  };
  if (!role) {
    const auto any = config::check_file(file);
    if (!any) return fail(any.error().as_error());
    return std::visit([](const auto& c) { return c.api; }, any->config);
  }
  switch (*role) {
  case config::role_kind::server: return api(config::load_server(file));
  case config::role_kind::gateway: return api(config::load_gateway(file));
  case config::role_kind::pne: break;
  }
  return api(config::load_pne(file));
}

std::string role_text(std::optional<config::role_kind> role) {
  return role ? std::string{config::word_of(*role)} : "role";
}

/// Another role may answer at a URL or a socket, and its answers have another form. A client without any level
/// is told so here, because the role closes its connection.
status check_role(api::client& to, const role_options& o) {
  CPNS_TRY(const auto got, to.ask(api::verb::get, "/v1/status"));
  if (got.status == forbidden) return fail(errc::config_range, api::problem_of(got).detail);
  const auto& at = o.remote() ? o.url : o.socket;
  boost::system::error_code ec;
  const auto told = boost::json::parse(got.body, ec);
  const auto* members = ec ? nullptr : told.if_object();
  if (!got.good() || members == nullptr || !members->contains("role"))
    return fail(errc::config_range, at + " is not the API of a role of cpns");
  if (const auto is = cli::text_of(*members, "role"); o.role && is != config::word_of(*o.role))
    return fail(errc::config_range,
                at + ": this is a " + is + ", but the command is for a " + role_text(o.role));
  return {};
}

}  // namespace

void add_role_options(CLI::App& command, role_options& o, std::string_view what_file_names) {
  const auto role = role_text(o.role);
  auto* file = command.add_option(
      "--config", o.config, "The YAML file of the " + role + ", which names " + std::string{what_file_names});
  file->each([&o](const std::string&) { o.config_given = true; });
  if (!o.config.empty()) file->capture_default_str();
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

status check_naming(const role_options& o) {
  const auto exclude = [](const char* one, const char* other) {
    return fail(errc::config_usage,
                std::string{one} + " and " + other + " exclude each other; leave one out");
  };
  if (o.remote() && !o.socket.empty()) return exclude("--url", "--socket");
  if (o.remote() && o.config_given) return exclude("--url", "--config");
  if (!o.socket.empty() && o.config_given) return exclude("--socket", "--config");
  if (!o.remote() && !(o.cert.empty() && o.key.empty() && o.ca.empty()))
    return fail(errc::config_usage, "--cert, --key and --ca belong to --url; leave them out");
  if (o.config.empty() && !o.names_running())
    return fail(errc::config_usage, "name the " + role_text(o.role) +
                                        " with --config FILE, --socket PATH or --url https://HOST:PORT");
  return {};
}

result<api::client> connect_role(const role_options& o) {
  CPNS_CHECK(check_naming(o));
  if (!o.names_running()) {
    CPNS_TRY(const auto c, api_of(o.config, o.role));
    auto connected = connect_role(c);
    if (!connected && connected.error() == errc::peer_closed)
      return fail(errc::peer_closed, "the " + role_text(o.role) + " of " + o.config + " is stopped: " +
                                         connected.error().detail + "; start it, and repeat the command");
    return connected;
  }
  CPNS_TRY(auto connected, o.remote() ? connect_remote(o) : connect_socket(o.socket));
  CPNS_CHECK(check_role(connected, o));
  return connected;
}

std::string url_example(const std::string& command, config::role_kind role) {
  const auto* host = role == config::role_kind::server ? "cpns.example.org" : "gw.example.org";
  return "  cpns " + command + " --url https://" + host + ":7480 --cert anna.pem --key anna.key --ca ca.pem";
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

tl::expected<boost::json::value, api::problem> ask_readiness(api::client& role) {
  CPNS_TRY(const auto answer, role.ask(api::verb::get, "/health/ready"));
  boost::system::error_code ec;
  auto parsed = boost::json::parse(answer.body, ec);
  const auto* members = ec ? nullptr : parsed.if_object();
  if (members == nullptr || !members->contains("ready") || !members->contains("reasons"))
    return api::refuse(500, "internal", "the role's answer about its health is not the documented one");
  return parsed;
}

page_reader pages_of(api::client& role, const std::string& target) {
  const auto first = target + (target.find('?') == std::string::npos ? "?" : "&") + "limit=1000";
  return [&role, first](const std::string& after) {
    return ask_role(role, api::verb::get,
                    after.empty() ? first : first + "&after=" + api::encode_percent(after));
  };
}

tl::expected<void, api::problem> read_all(const page_reader& pages, const std::string& member,
                                          const std::function<void(const boost::json::object&)>& take) {
  for (std::string after;;) {
    CPNS_TRY(const auto page, pages(after));
    for (const auto& row : page.at(member).as_array()) take(row.as_object());
    const auto* next = page.at("next").if_string();
    if (next == nullptr) return {};
    after.assign(next->data(), next->size());
  }
}

int print_all(const page_reader& pages, const std::string& member, bool as_json, std::string_view heading,
              const std::function<void(const boost::json::object&)>& print) {
  bool begun = false;
  const page_reader after_heading = [&](const std::string& after) {
    auto page = pages(after);
    if (page && !std::exchange(begun, true))
      std::cout << (as_json ? "{\"" + member + "\": [" : paint(colour::bold, heading) + "\n");
    return page;
  };
  const char* between = "\n";
  const auto done = read_all(after_heading, member, [&](const boost::json::object& row) {
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
