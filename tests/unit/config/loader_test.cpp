#include "config/loader.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "no_environment.hpp"

namespace cpns::config {
namespace {

using namespace std::chrono_literals;

constexpr auto minimal_server = R"(role: server
tls: {certificate: s.pem, key: s.key, ca: ca.pem}
store: {path: db}
protector: {file: kek}
)";

std::string why(const diagnostics& d) { return d.as_error().detail; }

TEST(loader, applies_the_defaults_to_a_file_with_only_the_required_keys) {
  const auto c = parse_server(minimal_server, "/etc/cpns/server.yaml", no_environment);
  ASSERT_TRUE(c) << why(c.error());
  EXPECT_EQ(c->listen, (address{"127.0.0.1", 7443}));
  EXPECT_EQ(c->keys.set_size, 32U);
  EXPECT_EQ(c->keys.rekey, 24h);
  EXPECT_EQ(c->temporary_key_release, key_release::derived);
  EXPECT_TRUE(c->require_presence);
  EXPECT_EQ(c->drain, 10s);
  EXPECT_TRUE(c->ready_file.empty());
}

TEST(loader, makes_paths_absolute_from_the_folder_of_the_file) {
  const auto c = parse_server(minimal_server, "/etc/cpns/server.yaml", no_environment);
  ASSERT_TRUE(c) << why(c.error());
  EXPECT_EQ(c->tls.key, "/etc/cpns/s.key");
  EXPECT_EQ(c->store.path, "/etc/cpns/db");
  const auto relative = parse_server(minimal_server, "conf/../server.yaml", no_environment);
  ASSERT_TRUE(relative) << why(relative.error());
  EXPECT_EQ(relative->protector.file, std::filesystem::current_path() / "kek");
}

TEST(loader, puts_the_audit_file_beside_the_store_unless_it_is_named) {
  const auto of_server = [](const std::string& more) {
    const auto c =
        parse_server("role: server\ntls: {certificate: a, key: b, ca: c}\nprotector: {file: k}\n" + more,
                     "/e/s.yaml", no_environment);
    return c ? c->audit.file.string() : why(c.error());
  };
  EXPECT_EQ(of_server("store: {path: state/server}\n"), "/e/state/server.audit.jsonl");
  EXPECT_EQ(of_server("store: {path: state/server/}\n"), "/e/state/server.audit.jsonl");
  EXPECT_EQ(of_server("store: {path: state/server}\naudit: {file: log/a}\n"), "/e/log/a");
  EXPECT_EQ(of_server("store: {kind: memory}\n"), "");
  EXPECT_EQ(of_server("store: {kind: memory}\naudit: {file: x}\n"), "/e/x");
  const auto of_pne = [](const std::string& devices) {
    const auto c =
        parse_pne("role: pne\ntransports: [{name: a, plugin: tcp}]\nprotector: {file: k}\n" + devices,
                  "/e/p.yaml", no_environment);
    return c ? c->audit.file.string() : why(c.error());
  };
  EXPECT_EQ(of_pne("devices_file: d.csv\nkeys_dir: keys\n"), "/e/keys.audit.jsonl");
  EXPECT_EQ(of_pne("devices:\n  - {entity: \"urn:dev:mac:0024befffe804ff1\", temporary_key_file: t, "
                   "key_file: one.key}\n"),
            "/e/one.key.audit.jsonl");
}

TEST(loader, reads_every_kind_of_value) {
  const auto c = parse_gateway(R"(role: gateway
name: gw1
user: alice@example.org
servers: [127.0.0.1:1, "[::1]:2"]
server_uri: urn:cpns:server:main
tls: {certificate: g.pem, key: g.key, ca: ca.pem}
store: {kind: memory}
protector: {kind: passphrase, file: /secret/pass}
plugin_dirs: [plugins, /opt/p]
transports:
  - {name: a, plugin: tcp, params: {port: 7450, fast: true, text: "0010"}}
  - {name: b, plugin: ./own.so}
validation: {policy: list, allow: ["urn:dev:mac:*", "urn:dev:mac:0024befffe804ff1"], min_rssi: -70}
rekey: {interval: 90s}
lowest_suite: 1
log: {format: json, level: warn, components: {store: debug}}
)",
                               "/e/gw.yaml", no_environment);
  ASSERT_TRUE(c) << why(c.error());
  ASSERT_EQ(c->servers.size(), 2U);
  EXPECT_EQ(c->servers[1], (address{"::1", 2}));
  EXPECT_EQ(c->protector.kind, protector_kind::passphrase);
  EXPECT_EQ(c->protector.file, "/secret/pass");
  EXPECT_EQ(c->plugin_dirs, (std::vector<path>{"/e/plugins", "/opt/p"}));
  ASSERT_EQ(c->transports.size(), 2U);
  EXPECT_EQ(c->transports[0].plugin, "tcp");
  EXPECT_EQ(c->transports[0].params,
            (std::map<std::string, std::string>{{"port", "7450"}, {"fast", "true"}, {"text", "0010"}}));
  EXPECT_EQ(c->transports[1].plugin, "/e/own.so");
  EXPECT_EQ(c->validation.policy, approval::list);
  EXPECT_EQ(c->validation.allow.size(), 2U);
  EXPECT_EQ(c->validation.min_rssi, -70);
  EXPECT_EQ(c->rekey.interval, 90s);
  EXPECT_EQ(c->lowest_suite, 1U);
  const auto log = c->log.settings();
  EXPECT_EQ(log.form, log::format::json);
  EXPECT_EQ(log.threshold, log::level::warn);
  EXPECT_EQ(log.components.at("store"), log::level::debug);
}

TEST(loader, accepts_the_word_for_no_value) {
  const auto text = [](std::string_view window) {
    return "role: pne\ndevices_file: d.csv\nkeys_dir: k\nprotector: {file: f}\ntransports: [{name: a, "
           "plugin: tcp}]\n"
           "answer_window: " +
           std::string{window} + "\n";
  };
  const auto always = parse_pne(text("always"), "/e/p.yaml", no_environment);
  ASSERT_TRUE(always) << why(always.error());
  EXPECT_EQ(always->answer_window, std::nullopt);
  const auto minutes = parse_pne(text("5m"), "/e/p.yaml", no_environment);
  ASSERT_TRUE(minutes) << why(minutes.error());
  EXPECT_EQ(minutes->answer_window, 5min);
  EXPECT_EQ(minutes->suites, (std::vector<std::uint32_t>{2, 1}));
}

TEST(loader, expands_the_environment_in_values_of_any_type) {
  const auto env = [](std::string_view name) -> std::optional<std::string> {
    if (name == "PORT") return "9000";
    if (name == "SIZE") return "64";
    if (name == "STATE") return "/var/x";
    return std::nullopt;
  };
  const auto c =
      parse_server(std::string{"role: server\nlisten: 127.0.0.1:${PORT}\nkeys: {set_size: \"${SIZE}\"}\n"
                               "require_presence: ${P:-false}\ndrain: ${D:-3s}\n"
                               "tls: {certificate: s.pem, key: s.key, ca: ca.pem}\n"
                               "store: {path: \"${STATE}/db\"}\nprotector: {file: kek}\n"},
                   "/e/s.yaml", env);
  ASSERT_TRUE(c) << why(c.error());
  EXPECT_EQ(c->listen.port, 9000);
  EXPECT_EQ(c->keys.set_size, 64U);
  EXPECT_FALSE(c->require_presence);
  EXPECT_EQ(c->drain, 3s);
  EXPECT_EQ(c->store.path, "/var/x/db");
}

TEST(loader, accepts_a_byte_order_mark_and_crlf) {
  std::string text = "\xef\xbb\xbf";
  for (const char ch : std::string_view{minimal_server})
    text += ch == '\n' ? std::string{"\r\n"} : std::string(1, ch);
  const auto c = parse_server(text, "/e/s.yaml", no_environment);
  ASSERT_TRUE(c) << why(c.error());
  EXPECT_EQ(c->tls.ca, "/e/ca.pem");
}

TEST(examples, load_as_the_role_that_they_name) {
  const auto folder = path(CPNS_SOURCE_DIR) / "config/examples";
  const auto server = load_server(folder / "server.yaml", no_environment);
  ASSERT_TRUE(server) << why(server.error());
  EXPECT_EQ(server->store.path, "/var/lib/cpns/server");
  const auto gateway = load_gateway(folder / "gateway.yaml", no_environment);
  ASSERT_TRUE(gateway) << why(gateway.error());
  EXPECT_EQ(gateway->servers.size(), 2U);
  const auto pne = load_pne(folder / "pne.yaml", no_environment);
  ASSERT_TRUE(pne) << why(pne.error());
  EXPECT_EQ(pne->devices.size(), 1U);
  EXPECT_EQ(check_file(folder / "server.yaml").value().role, role_kind::server);
  EXPECT_EQ(check_file(folder / "gateway.yaml").value().role, role_kind::gateway);
  EXPECT_EQ(check_file(folder / "pne.yaml").value().role, role_kind::pne);
}

TEST(reload, reports_each_change_and_whether_a_running_role_can_apply_it) {
  const auto before = parse_server(minimal_server, "/e/s.yaml", no_environment).value();
  auto after = before;
  EXPECT_TRUE(differences(before, after).empty());
  after.log.level = log::level::debug;
  after.log.components["store"] = log::level::off;
  after.listen.port = 1;
  after.keys.rekey = 1h;
  std::map<std::string, bool> changed;
  for (const auto& d : differences(before, after)) changed[d.key] = d.reloadable;
  EXPECT_EQ(changed,
            (std::map<std::string, bool>{
                {"keys.rekey", true}, {"listen", false}, {"log.components", true}, {"log.level", true}}));
}

TEST(reload, sees_a_change_inside_a_list_of_sections) {
  gateway_config before;
  before.transports.push_back({"a", "tcp", {{"port", "1"}}});
  auto after = before;
  after.transports[0].params["port"] = "2";
  const auto d = differences(before, after);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_EQ(d[0].key, "transports");
  EXPECT_FALSE(d[0].reloadable);
}

TEST(reload, sees_a_change_inside_a_section_that_may_be_missing) {
  const auto load = [](const std::string& api) {
    return parse_server("role: server\ntls: {certificate: s.pem, key: s.key, ca: ca.pem}\nstore: {path: db}\n"
                        "protector: {file: kek}\napi: {" +
                            api + "}\n",
                        "/etc/s.yaml", no_environment)
        .value();
  };
  const std::string listen = "listen: 127.0.0.1:7480, tls: {certificate: a, key: b, ca: c}, ";
  const auto keys = [&](const std::string& before, const std::string& after) {
    std::string out;
    for (const auto& d : differences(load(before), load(after)))
      out += d.key + (d.reloadable ? " now\n" : " later\n");
    return out;
  };
  EXPECT_EQ(keys(listen + "certificates: {'urn:a:b': viewer}", listen + "certificates: {'urn:a:b': admin}"),
            "api.certificates now\n");
  EXPECT_EQ(keys("", listen + "certificates: {'urn:a:b': viewer}"),
            "api.certificates now\napi.listen later\napi.tls.ca later\napi.tls.certificate "
            "later\napi.tls.key later\n");
  const auto c = load(listen + "certificates: {'urn:a:b': operator}");
  EXPECT_EQ(c.api.tls->ca, "/etc/c");
  EXPECT_EQ(c.api.certificates.at("urn:a:b"), api_level::operator_);
}

}  // namespace
}  // namespace cpns::config
