// Every kind of error in a configuration, with the line that is printed for it.

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "config/loader.hpp"
#include "no_environment.hpp"

namespace cpns::config {
namespace {

constexpr std::string_view head = "role: server\n";  // line 1
constexpr std::string_view rest =
    "tls: {certificate: s.pem, key: s.key, ca: ca.pem}\nstore: {path: db}\nprotector: {file: kek}\n";

/// The lines printed for a server's file that has `text` in line 2.
std::vector<std::string> printed(std::string_view text) {
  const auto c = parse_server(std::string{head} + std::string{text} + "\n" + std::string{rest}, "s.yaml",
                              no_environment);
  return c ? std::vector<std::string>{} : c.error().lines();
}
std::vector<std::string> printed_whole(const std::string& text) {
  const auto c = parse_server(text, "s.yaml", no_environment);
  return c ? std::vector<std::string>{} : c.error().lines();
}
std::vector<std::string> printed_pne(const std::string& text) {
  const auto c = parse_pne("role: pne\nprotector: {file: k}\ntransports: [{name: a, plugin: tcp}]\n" + text,
                           "p.yaml", no_environment);
  return c ? std::vector<std::string>{} : c.error().lines();
}
using lines = std::vector<std::string>;

TEST(diagnostics, name_an_unknown_key_and_the_nearest_known_one) {
  EXPECT_EQ(printed("lisen: 127.0.0.1:1"),
            lines{"s.yaml:2:1: 'lisen' is not a key here; did you mean 'listen'?"});
  EXPECT_EQ(printed("keys: {set_sise: 4}"),
            lines{"s.yaml:2:8: 'set_sise' is not a key of 'keys'; did you mean 'set_size'?"});
  EXPECT_EQ(printed("colour: blue"), lines{"s.yaml:2:1: 'colour' is not a key here"});
  EXPECT_EQ(printed("log: {components: {sever: debug}}"),
            lines{"s.yaml:2:27: 'sever' is not a component of the log; did you mean 'server'?"});
  EXPECT_EQ(printed("log: {components: {crypto: debug}}"),
            lines{"s.yaml:2:28: 'crypto' is not a component of the log; the components are " +
                  log::component_list()});
}

TEST(diagnostics, name_the_wanted_type_when_a_value_has_another) {
  EXPECT_EQ(printed("keys: {set_size: many}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be a whole number, not 'many'"});
  EXPECT_EQ(printed("keys: {set_size: \"4\"}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be a whole number, not a text; remove the quotes"});
  EXPECT_EQ(printed("keys: {set_size: 4.5}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be a whole number, not '4.5'"});
  EXPECT_EQ(printed("keys: {set_size: 010}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be a whole number, not '010'"});
  EXPECT_EQ(printed("keys: {set_size: [4]}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be a whole number, not a list"});
  EXPECT_EQ(printed("keys: {set_size: }"),
            lines{"s.yaml:2:18: 'keys.set_size' must be a whole number, not nothing"});
  EXPECT_EQ(printed("keys: 4"), lines{"s.yaml:2:7: 'keys' must be a section of 'key: value' lines, not '4'"});
  EXPECT_EQ(printed("keys: [4]"),
            lines{"s.yaml:2:7: 'keys' must be a section of 'key: value' lines, not a list"});
  EXPECT_EQ(printed("require_presence: yes"),
            lines{"s.yaml:2:19: 'require_presence' must be true or false, not 'yes'"});
  EXPECT_EQ(printed("require_presence: \"true\""),
            lines{"s.yaml:2:19: 'require_presence' must be true or false, not the text 'true'"});
  EXPECT_EQ(printed("name: {a: b}"), lines{"s.yaml:2:7: 'name' must be a text, not a section"});
  EXPECT_EQ(printed("drain: 10"),
            lines{"s.yaml:2:8: 'drain': '10' is not a duration: write a whole number and "
                  "ms, s, m, h or d, for example 10s"});
  EXPECT_EQ(printed("listen: 7443"), lines{"s.yaml:2:9: 'listen': '7443' is not an address: the port is "
                                           "missing; write host:port or [IPv6]:port"});
  EXPECT_EQ(
      printed("log: {components: {store: loud}}"),
      lines{"s.yaml:2:27: 'log.components.store' must be one of debug, info, warn, error, off, not 'loud'"});
  EXPECT_EQ(printed("temporary_key_release: derive"),
            lines{"s.yaml:2:24: 'temporary_key_release' must be one of derived, literal, not 'derive'; did "
                  "you mean 'derived'?"});
}

TEST(diagnostics, name_the_bounds_when_a_value_is_out_of_range) {
  EXPECT_EQ(printed("keys: {set_size: 0}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be from 1 to 256, not '0'"});
  EXPECT_EQ(printed("keys: {set_size: 257}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be from 1 to 256, not '257'"});
  EXPECT_EQ(printed("keys: {set_size: -1}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be from 1 to 256, not '-1'"});
  EXPECT_EQ(printed("keys: {set_size: 99999999999999999999}"),
            lines{"s.yaml:2:18: 'keys.set_size' must be from 1 to 256, not '99999999999999999999'"});
  EXPECT_EQ(printed("handshake_timeout: 2h"),
            lines{"s.yaml:2:20: 'handshake_timeout' must be from 100ms to 1m, not '2h'"});
  EXPECT_EQ(printed("listen: 127.0.0.1:65536"),
            lines{"s.yaml:2:9: 'listen': '127.0.0.1:65536' is not an address: the port is not "
                  "a number from 0 to 65535; write host:port or [IPv6]:port"});
  EXPECT_EQ(printed("name: a b"),
            lines{"s.yaml:2:7: 'name': 'a b' is not a name: 1 to 64 letters, digits, '.', '_' and '-'"});
  EXPECT_EQ(printed("ready_file: ''"),
            lines{"s.yaml:2:13: 'ready_file' is an empty path; remove the key or give a path"});
}

TEST(diagnostics, describe_a_key_that_is_missing) {
  EXPECT_EQ(printed_whole(
                "role: server\ntls:\n  certificate: a\n  ca: b\nstore: {path: x}\nprotector: {file: k}\n"),
            lines{"s.yaml:3:3: 'tls.key' is missing: PEM file with the private key. Secret file: mode 0600, "
                  "or 0440 or 0640 if root owns it."});
  EXPECT_EQ(printed_whole("role: server\n" + std::string{rest.substr(0, rest.find("store"))} +
                          "protector: {file: k}\n"),
            lines{"s.yaml:1:1: 'store.path' is missing: a rocksdb store needs a folder"});
  EXPECT_EQ(printed("adopt_after: ${NOWHERE}"),
            lines{"s.yaml:2:14: 'adopt_after': the environment variable NOWHERE is not set; set it, or write "
                  "${NOWHERE:-default}"});
  EXPECT_EQ(printed("adopt_after: ${NOWHERE"),
            lines{"s.yaml:2:14: 'adopt_after': a '${' has no '}'; write $${ for a literal one"});
}

TEST(diagnostics, explain_a_role_that_is_missing_or_wrong) {
  EXPECT_EQ(printed_whole("name: x\n"), lines{"s.yaml:1:1: 'role' is missing: begin the file with 'role: "
                                              "server', 'role: gateway' or 'role: pne'"});
  EXPECT_EQ(printed_whole("role: gateway\n"),
            lines{"s.yaml:1:7: this is the configuration of a gateway, not of a server"});
  EXPECT_EQ(
      printed_whole("role: sever\n"),
      lines{"s.yaml:1:7: 'role' must be one of server, gateway, pne, not 'sever'; did you mean 'server'?"});
  EXPECT_EQ(printed_whole(""),
            lines{"s.yaml:1:1: the file must be a section of 'key: value' lines, not nothing"});
  EXPECT_EQ(printed_whole("# only a comment\n"),
            lines{"s.yaml:1:1: the file must be a section of 'key: value' lines, not nothing"});
  EXPECT_EQ(printed_whole("- a\n"),
            lines{"s.yaml:1:1: the file must be a section of 'key: value' lines, not a list"});
}

TEST(diagnostics, explain_a_file_that_is_not_valid_yaml) {
  EXPECT_EQ(printed("name: a\nname: b"),
            lines{"s.yaml:3:1: 'name' is given twice, first in line 2; remove one"});
  EXPECT_EQ(printed("keys: {rekey: 1h, rekey: 2h}"),
            lines{"s.yaml:2:19: 'rekey' is given twice, first in line 2; remove one"});
  EXPECT_EQ(printed_whole(std::string{head} + std::string{rest} + "---\nrole: server\n"),
            lines{"s.yaml:6:1: a second document begins here; a file holds one configuration"});
  EXPECT_EQ(printed("name: &a b"), lines{"s.yaml:2:7: an anchor (&a) is not allowed; write the value out"});
  EXPECT_EQ(printed("name: !!str b"), lines{"s.yaml:2:7: a tag (!) is not allowed"});
  EXPECT_EQ(printed("? [a, b]\n: c"), lines{"s.yaml:2:3: a key must be a single word"});
  EXPECT_EQ(printed("name: a\x04"),
            lines{"s.yaml:2:8: a control character is not allowed; is this a text file?"});
  EXPECT_EQ(printed_whole("\xff\xfer"), lines{"s.yaml:1:1: the file is UTF-16; save it as UTF-8"});
  const auto alias = printed("name: *a");
  ASSERT_EQ(alias.size(), 1U);
  EXPECT_TRUE(alias[0].starts_with("s.yaml:2:7: ")) << alias[0];
  for (const auto* broken : {" name: b", "\tname: b", "name: b: c", "name: @b", "}"}) {
    const auto text = printed(broken);
    ASSERT_EQ(text.size(), 1U) << broken;
    EXPECT_NE(text[0].find(": this is not YAML: "), std::string::npos) << text[0];
    EXPECT_TRUE(text[0].starts_with("s.yaml:")) << text[0];
  }
}

TEST(diagnostics, are_reported_together_in_the_order_of_the_file) {
  const auto text = printed_whole("role: server\n"
                                  "lisen: 127.0.0.1:1\n"
                                  "keys:\n"
                                  "  set_size: 0\n"
                                  "  rekey: 2d\n"
                                  "  lifetime: 1d\n"
                                  "drain: soon\n"
                                  "store: {kind: memory, path: x}\n");
  ASSERT_EQ(text.size(), 7U);
  EXPECT_TRUE(text[0].starts_with("s.yaml:1:1: 'tls' is missing")) << text[0];
  EXPECT_TRUE(text[1].starts_with("s.yaml:1:1: 'protector' is missing")) << text[1];
  EXPECT_TRUE(text[2].starts_with("s.yaml:2:1: 'lisen'")) << text[2];
  EXPECT_TRUE(text[3].starts_with("s.yaml:4:13: 'keys.set_size'")) << text[3];
  EXPECT_EQ(text[4], "s.yaml:6:13: 'keys.lifetime' (1d) is shorter than 'keys.rekey' (2d)");
  EXPECT_TRUE(text[5].starts_with("s.yaml:7:8: 'drain'")) << text[5];
  EXPECT_EQ(text[6], "s.yaml:8:29: 'store.path' has no meaning for a memory store; remove it");
}

TEST(diagnostics, are_only_counted_beyond_a_hundred) {
  std::string text{head};
  for (int i = 0; i < 150; ++i) text += "zz" + std::to_string(i) + ": 1\n";
  const auto all = printed_whole(text + std::string{rest});
  ASSERT_EQ(all.size(), 101U);
  EXPECT_EQ(all.back(), "s.yaml: and 50 more");
}

TEST(diagnostics, refuse_a_path_that_begins_with_a_tilde) {
  EXPECT_EQ(
      printed("ready_file: ~/cpns.ready"),
      lines{"s.yaml:2:13: 'ready_file': '~/cpns.ready' begins with a ~, which only a shell expands; write "
            "the folder in full, or ${HOME}/..."});
  EXPECT_EQ(printed("ready_file: ./~/cpns.ready"), lines{});
  const auto c =
      parse_gateway("role: gateway\nname: g\nuser: u\nservers: [h:1]\nserver_uri: a:b\nplugin_dirs: [~p]\n"
                    "tls: {certificate: ~, key: b, ca: c}\nstore: {path: ~/s}\nprotector: {file: '~/k'}\n"
                    "transports: [{name: a, plugin: ~/a.so}]\n",
                    "g.yaml", no_environment);
  ASSERT_FALSE(c);
  std::vector<std::string> keys;
  for (const auto& line : c.error().lines())
    keys.push_back(line.substr(0, line.find('\'', line.find('\'') + 1) + 1));
  EXPECT_EQ(keys, (lines{"g.yaml:6:15: 'plugin_dirs[0]'", "g.yaml:7:20: 'tls.certificate'",
                         "g.yaml:8:15: 'store.path'", "g.yaml:9:19: 'protector.file'",
                         "g.yaml:10:32: 'transports[0].plugin'"}));
}

TEST(diagnostics, refuse_an_audit_file_in_the_folder_of_the_store) {
  const auto in = [](const std::string& file) {
    const auto c =
        parse_server("role: server\ntls: {certificate: a, key: b, ca: c}\nstore: {path: state/server}\n"
                     "protector: {file: k}\naudit:\n  file: " +
                         file + "\n",
                     "s.yaml", no_environment);
    return c ? std::string("ok") : c.error().lines().front();
  };
  const std::string wrong =
      "s.yaml:6:9: 'audit.file' lies in the folder of 'store.path'; choose a path beside it";
  EXPECT_EQ(in("state/server/audit.jsonl"), wrong);
  EXPECT_EQ(in("state/x/../server/a/b"), wrong);
  EXPECT_EQ(in("state/server"), wrong);
  EXPECT_EQ(in("state/server-audit.jsonl"), "ok");
  EXPECT_EQ(in("state/audit.jsonl"), "ok");
  EXPECT_EQ(in("k"), "s.yaml:6:9: 'audit.file' is the same path as 'protector.file'; choose another path");
}

TEST(diagnostics, refuse_a_path_that_would_overwrite_another_file) {
  EXPECT_EQ(printed("ready_file: kek\nlog: {file: ./kek}"),
            (lines{"s.yaml:2:13: 'ready_file' is the same path as 'protector.file'; choose another path",
                   "s.yaml:3:13: 'log.file' is the same path as 'protector.file'; choose another path"}));
}

TEST(diagnostics, cover_the_rules_between_settings_of_a_pne) {
  EXPECT_EQ(printed_pne(""),
            lines{"p.yaml:1:1: no device is configured: give 'devices', or 'devices_file' and 'keys_dir'"});
  EXPECT_EQ(printed_pne("devices_file: d.csv\n"),
            lines{"p.yaml:1:1: 'keys_dir' is missing: it stores the keys of the devices in 'devices_file'"});
  EXPECT_EQ(printed_pne("devices_file: d.csv\nkeys_dir: k\nsuites: [2, 3]\n"),
            lines{"p.yaml:6:13: 'suites[1]' must be 1 or 2, each once"});
  const std::string one =
      "  - {entity: \"urn:dev:mac:0024befffe804ff1\", temporary_key_file: t, key_file: k}\n";
  EXPECT_EQ(printed_pne("devices:\n" + one + one),
            (lines{"p.yaml:6:14: the device 'urn:dev:mac:0024befffe804ff1' is given twice",
                   "p.yaml:6:79: two devices have the same 'key_file'"}));
  const auto grammar = printed_pne("devices:\n  - {entity: headset, temporary_key_file: t, key_file: k}\n");
  ASSERT_EQ(grammar.size(), 1U);
  EXPECT_TRUE(
      grammar[0].starts_with("p.yaml:5:14: 'devices[0].entity': Entity ID 'headset' has no known scheme"))
      << grammar[0];
}

TEST(diagnostics, cover_the_rules_between_settings_of_a_gateway) {
  const auto c = parse_gateway("role: gateway\nname: g\nuser: u\nservers: [h:0]\nserver_uri: main\ntls: "
                               "{certificate: a, key: b, ca: c}\n"
                               "store: {kind: memory}\nprotector: {file: k}\ntransports:\n  - {name: a, "
                               "plugin: tcp}\n  - {name: a, plugin: t p}\n"
                               "healing_reserve: 8\ntimers: {backoff_min: 10s, backoff_max: 1s}\nvalidation: "
                               "{policy: list, deny: [\"ur*n\"]}\n"
                               "lowest_suite: 3\n",
                               "g.yaml", no_environment);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().lines(),
            (lines{"g.yaml:4:11: 'servers[0]' must have a port from 1 to 65535, not 0",
                   "g.yaml:5:13: 'server_uri': 'main' is not a URI",
                   "g.yaml:11:12: two transports have the name 'a'; names must be unique",
                   "g.yaml:11:23: 'transports[1].plugin': 't p' is not a name: 1 to 64 letters, digits, '.', "
                   "'_' and '-'",
                   "g.yaml:12:18: 'healing_reserve' (8) must be less than 'rekey.low_water' (8)",
                   "g.yaml:13:41: 'timers.backoff_max' is shorter than 'timers.backoff_min'",
                   "g.yaml:14:13: 'validation.allow' is missing: the policy 'list' would accept no device",
                   "g.yaml:14:35: 'validation.deny[0]': Entity ID 'ur*n' has no known scheme (urn:dev:mac:, "
                   "urn:gsma:imei:, "
                   "urn:uuid:, urn:dev:os:)",
                   "g.yaml:15:15: 'lowest_suite' must be from 1 to 2, not '3'"}));
}

TEST(diagnostics, name_the_certificate_and_the_key_of_a_gateway_that_has_both_or_neither) {
  const auto said = [](const std::string& step0) {
    const auto c = parse_gateway("role: gateway\nname: g\nuser: u\nservers: [h:1]\nstore: {kind: memory}\n"
                                 "protector: {file: k}\ntransports: [{name: a, plugin: tcp}]\n" +
                                     step0,
                                 "g.yaml", no_environment);
    return c ? lines{} : c.error().lines();
  };
  const std::string tls = "tls: {certificate: a, key: b, ca: c}\n",
                    psk = "psk: {identity: \"urn:cpns:psk:hall\", key_file: f}\n", uri = "server_uri: a:b\n";
  EXPECT_EQ(said(tls + uri), lines{});
  EXPECT_EQ(said(psk), lines{});
  EXPECT_EQ(
      said(""),
      lines{"g.yaml:1:1: 'tls' is missing: a gateway has a certificate ('tls') or a pre-shared key ('psk')"});
  EXPECT_EQ(said(tls + uri + psk), lines{"g.yaml:10:6: 'psk' and 'tls' exclude each other: a gateway has a "
                                         "pre-shared key or a certificate; remove one"});
  EXPECT_EQ(said(tls),
            lines{"g.yaml:1:1: 'server_uri' is missing: with 'tls' the gateway accepts the certificate "
                  "of this server alone"});
  EXPECT_EQ(said(psk + uri),
            lines{"g.yaml:9:13: 'server_uri' has no meaning with 'psk': the server shows that it "
                  "has the key, and no certificate; remove it"});
  EXPECT_EQ(
      said("psk: {identity: hall, key_file: f}\n"),
      lines{
          "g.yaml:8:17: 'psk.identity': 'hall' is not an identity: write urn:cpns:psk: and 1 to 64 letters, "
          "digits, '.', '_' and '-'"});
}

TEST(diagnostics, cover_the_rules_between_limits_of_a_server) {
  const auto c = parse_server("role: server\ntls: {certificate: a, key: b, ca: c}\nstore: {kind: memory}\n"
                              "protector: {file: k}\nlimits: {jobs: 300, jobs_per_gateway: 400}\n",
                              "s.yaml", no_environment);
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().lines(),
            (lines{"s.yaml:5:16: 'limits.jobs' (300) must be at least 'limits.jobs_per_gateway' (400)"}));
}

TEST(diagnostics, refuse_addresses_of_a_cluster_that_gateways_cannot_use) {
  const auto of = [](const std::string& cluster) {
    return parse_server("role: server\ntls: {certificate: a, key: b, ca: c}\nstore: {kind: memory}\n"
                        "protector: {file: k}\ncluster: " +
                            cluster + "\n",
                        "s.yaml", no_environment);
  };
  const auto good = of("{advertise: 'node1:7443', nodes: ['node1:7443', '[::1]:7443']}");
  ASSERT_TRUE(good) << good.error().lines().front();
  EXPECT_EQ(good->cluster.nodes.at(1).text(), "[::1]:7443");
  EXPECT_EQ(
      of("{advertise: 'node1:0', nodes: ['[fe80::1%eth0]:1', 'node2']}").error().lines(),
      (lines{
          "s.yaml:5:22: 'cluster.advertise' must have a port from 1 to 65535, not 0",
          "s.yaml:5:41: 'cluster.nodes[0]' has a zone (%), which means nothing to other machines; write an "
          "address without it",
          "s.yaml:5:61: 'cluster.nodes[1]': 'node2' is not an address: the port is missing; write host:port "
          "or "
          "[IPv6]:port"}));
  std::string many;
  for (int i = 0; i < 32; ++i) many += "'node" + std::to_string(i) + ":1', ";
  EXPECT_TRUE(of("{nodes: [" + many + "]}"));
  EXPECT_TRUE(of("{advertise: 'node7:1', nodes: [" + many + "]}"));
  EXPECT_EQ(of("{advertise: 'other:1', nodes: [" + many + "]}").error().lines().size(), 1u);
}

TEST(diagnostics, refuse_gateway_uris_that_match_too_much_or_nothing) {
  const auto of = [](std::string_view uris) {
    return parse_server("role: server\ntls: {certificate: a, key: b, ca: c}\nstore: {kind: memory}\n"
                        "protector: {file: k}\ngateway_uris: " +
                            std::string{uris} + "\n",
                        "s.yaml", no_environment);
  };
  const auto good = of("['urn:example:gw:*', 'https://gw.example.org/7', '*']");
  ASSERT_FALSE(good) << "a single * would match every name";
  EXPECT_EQ(
      good.error().lines(),
      (lines{"s.yaml:5:64: 'gateway_uris[2]': '*' is not a URI, nor a prefix with one '*' at the end"}));
  const auto all = of("['urn:*', 'https://gw.example.org/7']");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->gateway_uris, (std::vector<std::string>{"urn:*", "https://gw.example.org/7"}));
  ASSERT_FALSE(of("[]")) << "the server would accept no gateway";
  EXPECT_FALSE(of("['urn:a*b*']"));
  EXPECT_FALSE(of("[gw1]"));
}

TEST(diagnostics, name_each_key_that_the_port_with_tls_needs) {
  const auto certificates =
      std::string{"s.yaml:2:6: 'api.certificates' is missing: without it 'api.listen' would let no "
                  "client in; give each SAN URI its level, for example urn:cpns:admin:anna: admin"};
  EXPECT_EQ(printed("api: {listen: 127.0.0.1:7480}"),
            (lines{"s.yaml:2:6: 'api.tls' is missing: 'api.listen' needs 'certificate', 'key' and 'ca' there",
                   certificates}));
  EXPECT_EQ(printed("api: {listen: 127.0.0.1:7480, tls: {certificate: a, key: b, ca: c}}"),
            lines{certificates});
  EXPECT_EQ(
      printed(
          "api: {listen: 127.0.0.1:7480, tls: {certificate: a, key: b}, certificates: {'urn:a:b': viewer}}"),
      lines{"s.yaml:2:36: 'api.tls.ca' is missing: PEM file with the authorities that may sign the other "
            "side's "
            "certificate."});
  EXPECT_EQ(
      printed("api: {listen: 7480, tls: {certificate: a, key: b, ca: c}, certificates: {'urn:a:b': viewer}}")
          .size(),
      1U);
  EXPECT_EQ(printed("api: {tls: {certificate: a, key: b, ca: c}, certificates: {'urn:a:b': viewer}}"),
            (lines{"s.yaml:2:12: 'api.tls' has no meaning without 'api.listen'; remove it",
                   "s.yaml:2:59: 'api.certificates' has no meaning without 'api.listen'; remove it"}));
  EXPECT_EQ(printed("api: {listen: none}"), lines{});
}

TEST(diagnostics, refuse_levels_of_clients_that_are_not_clear) {
  const auto with = [](const std::string& certificates) {
    return printed("api: {listen: 127.0.0.1:7480, tls: {certificate: a, key: b, ca: c}, certificates: {" +
                   certificates + "}}");
  };
  EXPECT_EQ(with("'urn:cpns:admin:anna': admin, 'urn:cpns:admin:*': viewer, urn:x:y: operator"), lines{});
  EXPECT_EQ(
      with("urn:a:b: root"),
      lines{"s.yaml:2:93: 'api.certificates.urn:a:b' must be one of viewer, operator, admin, not 'root'"});
  EXPECT_EQ(with("anna: admin"), lines{"s.yaml:2:84: 'api.certificates': 'anna' is not a URI"});
  EXPECT_EQ(with("'*': admin"),
            lines{"s.yaml:2:84: 'api.certificates': '*' is not a URI, nor a prefix with one '*' at the end"});
  for (const auto* pattern : {"urn:cpns:gw:hall", "urn:cpns:gw:*", "urn:cpns:*", "urn:*"}) {
    const auto said = with("'" + std::string{pattern} + "': viewer");
    ASSERT_EQ(said.size(), 1U) << pattern;
    EXPECT_NE(said[0].find("also fits URIs of gateways ('urn:cpns:gw:*'), which have no level"),
              std::string::npos)
        << said[0];
  }
  const auto own =
      printed("gateway_uris: ['urn:acme:*']\napi: {listen: 127.0.0.1:7480, tls: {certificate: a, key: b, ca: "
              "c}, certificates: {'urn:acme:admin:x': viewer}}");
  ASSERT_EQ(own.size(), 1U);
  EXPECT_NE(own[0].find("also fits URIs of gateways ('urn:acme:*')"), std::string::npos) << own[0];
}

TEST(diagnostics, refuse_an_exchange_that_is_too_short_for_a_device_to_answer) {
  const std::string before =
      "role: gateway\nname: g\nuser: u\nservers: [h:1]\nserver_uri: urn:cpns:server:main\n"
      "tls: {certificate: a, key: b, ca: c}\nstore: {kind: memory}\n"
      "protector: {file: k}\ntransports:\n  - {name: a, plugin: tcp}\n";
  const auto parse = [&](const std::string& timers) {
    return parse_gateway(before + "timers: " + timers + "\n", "g.yaml", no_environment);
  };
  EXPECT_TRUE(parse("{answer_timeout: 400ms}").has_value());
  EXPECT_TRUE(parse("{answer_timeout: 2s, retries: 0}").has_value());
  const auto c = parse("{answer_timeout: 300ms}");
  ASSERT_FALSE(c);
  EXPECT_EQ(c.error().lines(),
            (lines{"g.yaml:11:26: 'timers.answer_timeout' (300ms) with 'timers.retries' (5) makes an "
                   "exchange of 1800ms; it must last at least 2s"}));
}

class on_disk : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "cpns-config-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  path write(const std::string& text) {
    std::ofstream(folder / "s.yaml", std::ios::binary) << text;
    return folder / "s.yaml";
  }
  path folder;
};

TEST_F(on_disk, a_missing_file_or_a_folder_is_reported_with_its_path) {
  const auto missing = load_server(folder / "none.yaml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().as_error().code, errc::config_file);
  EXPECT_EQ(missing.error().lines(),
            lines{(folder / "none.yaml").string() +
                  ": the file cannot be opened; is the path right, and may this user read it?"});
  EXPECT_EQ(load_server(folder).error().lines(), lines{folder.string() + ": this is a folder, not a file"});
}

TEST_F(on_disk, a_file_over_one_mebibyte_is_refused) {
  const auto file = write("role: server\nname: " + std::string(1024 * 1024, 'x'));
  EXPECT_EQ(load_server(file).error().lines(), lines{file.string() + ": the file is larger than 1 MiB"});
}

TEST_F(on_disk, a_hostile_file_is_refused_quickly) {
  const auto repeated = [](std::string_view piece) {
    std::string out;
    while (out.size() + piece.size() < 150'000) out += piece;
    return out;
  };
  for (const auto* piece : {"[",   "{",      "- ",  "? ", "a: ", "a: {",     "x,",     "[[],", "\"",
                            "'",   "|\n",    "#",   "%",  "&a ", "*a ",      "!!a ",   "\n",   " ",
                            "a\n", "a: b\n", "-\n", ": ", "\\",  "a: [b]\n", "--- \n", "...\n"}) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(load_server(write(repeated(piece)))) << piece;
    EXPECT_FALSE(load_server(write("role: server\nname: " + repeated(piece)))) << piece;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << piece;
  }
}

}  // namespace
}  // namespace cpns::config
