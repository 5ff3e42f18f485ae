#include "config/effective.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "config/describe.hpp"
#include "no_environment.hpp"

namespace cpns::config {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto a_server = R"(role: server
tls: {certificate: s.pem, key: s.key, ca: ca.pem}
store: {path: db}
protector: {file: kek}
keys: {rekey: 90m}
api: {listen: "127.0.0.1:7480", tls: {certificate: a.pem, key: a.key, ca: ca.pem}, certificates: {"urn:cpns:admin:anna": admin}}
)";
constexpr auto a_gateway = R"(role: gateway
name: hall
user: alice@example.org
servers: ["[::1]:7443", "cpns.example.org:7443"]
server_uri: urn:cpns:server:main
tls: {certificate: g.pem, key: g.key, ca: ca.pem}
store: {path: db}
protector: {file: kek}
transports: [{name: radio, plugin: tcp, params: {listen: "127.0.0.1:7000"}}]
validation: {policy: list, allow: ["urn:dev:mac:0024be*"]}
)";
constexpr auto a_pne = R"(role: pne
devices: [{entity: "urn:dev:mac:0024befffe804ff1", temporary_key_file: tk, key_file: d.key}]
transports: [{name: radio, plugin: tcp}]
protector: {file: kek}
)";

server_config server(const std::string& text = a_server) {
  return parse_server(text, "/e/s.yaml", no_environment).value();
}
gateway_config gateway() { return parse_gateway(a_gateway, "/e/g.yaml", no_environment).value(); }
pne_config pne() { return parse_pne(a_pne, "/e/p.yaml", no_environment).value(); }

/// Every key of the JSON schema, which editors use, is in the configuration. A section that is not set is null.
void expect_all_keys(const json::object& schema, const json::object& shown, const std::string& prefix) {
  for (const auto& [key, about] : schema.at("properties").as_object()) {
    const auto name = prefix + std::string(key);
    ASSERT_TRUE(shown.contains(key)) << name;
    const auto* inner = about.as_object().if_contains("properties");
    if (inner != nullptr && !shown.at(key).is_null())
      expect_all_keys(about.as_object(), shown.at(key).as_object(), name + ".");
    const auto* items = about.as_object().if_contains("items");
    if (items == nullptr || !items->as_object().contains("properties")) continue;
    ASSERT_TRUE(shown.at(key).is_array()) << name;
    for (const auto& entry : shown.at(key).as_array())
      expect_all_keys(items->as_object(), entry.as_object(), name + "[].");
  }
  EXPECT_EQ(schema.at("properties").as_object().size(), shown.size()) << prefix;
}

TEST(effective_configuration, has_every_key_of_the_schema_and_no_other) {
  const auto schema = [](role_kind role) { return json::parse(json_schema(role)).as_object(); };
  expect_all_keys(schema(role_kind::server), effective(server()), "");
  expect_all_keys(schema(role_kind::gateway), effective(gateway()), "");
  expect_all_keys(schema(role_kind::pne), effective(pne()), "");
}

TEST(effective_configuration, has_values_and_defaults_in_the_form_of_the_file) {
  const auto s = effective(server());
  EXPECT_EQ(s.begin()->key(), "role");
  EXPECT_EQ(s.at("role"), "server");
  EXPECT_EQ(s.at("keys").at("rekey"), "90m");
  EXPECT_EQ(s.at("keys").at("set_size"), 32);
  EXPECT_EQ(s.at("listen"), "127.0.0.1:7443");
  EXPECT_EQ(s.at("tls").at("key"), "/e/s.key");
  EXPECT_TRUE(s.at("tls").at("crl").is_null()) << "not set";
  EXPECT_EQ(s.at("api").at("socket"), "/e/s.sock");
  EXPECT_EQ(s.at("api").at("probes"), "none");
  EXPECT_EQ(s.at("require_presence"), true);
  EXPECT_EQ(s.at("gateway_uris"), (json::array{"urn:cpns:gw:*"}));
  const auto g = effective(gateway());
  EXPECT_EQ(g.at("servers"), (json::array{"[::1]:7443", "cpns.example.org:7443"}));
  EXPECT_EQ(g.at("rekey").at("interval"), "server");
  EXPECT_EQ(g.at("transports").at(0).at("params").at("listen"), "127.0.0.1:7000");
  EXPECT_EQ(effective(pne()).at("devices").at(0).at("key_file"), "/e/d.key");
}

TEST(effective_configuration, tells_a_filter_what_each_text_is) {
  std::vector<std::pair<text_kind, std::string>> seen;
  const auto shown = effective(gateway(), [&seen](text_kind is, const std::string& text) {
    seen.emplace_back(is, text);
    return is == text_kind::plain ? text : std::string{"hidden"};
  });
  const auto saw = [&seen](text_kind is, const char* text) {
    return std::find(seen.begin(), seen.end(), std::pair{is, std::string{text}}) != seen.end();
  };
  EXPECT_TRUE(saw(text_kind::user, "alice@example.org"));
  EXPECT_TRUE(saw(text_kind::entity, "urn:dev:mac:0024be*"));
  EXPECT_TRUE(saw(text_kind::uri, "urn:cpns:server:main"));
  EXPECT_TRUE(saw(text_kind::address, "cpns.example.org:7443"));
  EXPECT_TRUE(saw(text_kind::file, "/e/g.key"));
  EXPECT_TRUE(saw(text_kind::parameter, "127.0.0.1:7000"));
  EXPECT_EQ(shown.at("user"), "hidden");
  EXPECT_EQ(shown.at("name"), "hall");
}

TEST(effective_configuration, tells_a_filter_the_names_in_a_map) {
  const auto shown = effective(server(), [](text_kind is, const std::string& text) {
    return is == text_kind::uri ? std::string{"hidden"} : text;
  });
  EXPECT_EQ(shown.at("api").at("certificates"), (json::object{{"hidden", "admin"}}));
}

TEST(effective_configuration, takes_only_what_applies_without_a_restart) {
  auto running = server();
  auto fresh = running;
  fresh.keys.rekey = 3h;
  fresh.log.level = log::level::debug;
  fresh.api.groups.viewer = {"people"};
  fresh.listen.port = 1;
  fresh.protector.file = "/other";
  apply_reloadable(running, fresh);
  EXPECT_EQ(running.keys.rekey, 3h);
  EXPECT_EQ(running.log.level, log::level::debug);
  EXPECT_EQ(running.api.groups.viewer, (std::vector<std::string>{"people"}));
  EXPECT_EQ(running.listen.port, 7443);
  EXPECT_EQ(running.protector.file, "/e/kek");
  const auto left = differences(running, fresh);
  EXPECT_TRUE(std::none_of(left.begin(), left.end(), [](const auto& d) { return d.reloadable; }));
  EXPECT_EQ(left.size(), 2U);
}

TEST(named_paths, are_those_of_the_file_and_the_default_ones) {
  const auto of_server = named_paths(server());
  for (const auto* p :
       {"/e/s.pem", "/e/s.key", "/e/ca.pem", "/e/db", "/e/kek", "/e/s.sock", "/e/db.audit.jsonl"})
    EXPECT_NE(std::find(of_server.begin(), of_server.end(), p), of_server.end()) << p;
  const auto of_pne = named_paths(pne());
  for (const auto* p : {"/e/tk", "/e/d.key"})
    EXPECT_NE(std::find(of_pne.begin(), of_pne.end(), p), of_pne.end()) << p;
}

}  // namespace
}  // namespace cpns::config
