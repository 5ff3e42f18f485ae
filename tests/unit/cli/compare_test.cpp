// `cpns doctor --with`: each difference between two files, with both places and the key to change, and files that fit.
#include "cli/doctor/compare.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>

#include "cli/issuing.hpp"
#include "cli/trial_folder.hpp"
#include "crypto/pki.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

using doctor::state_t;
using testing::AllOf;
using testing::HasSubstr;

const std::string pne_one = "urn:dev:mac:0024befffe804ff1", pne_two = "urn:dev:mac:0024befffe804ff2";

class two_files : public test::temp_folder {
 protected:
  void SetUp() override {
    gateway("", "");
    pne("", "");
  }
  /// `radio`: the transports, or those of a tcp radio that meets; `more`: further lines.
  void gateway(const std::string& radio, const std::string& more) {
    write("gateway.yaml",
          "role: gateway\nname: gw\nuser: alice@example.org\nservers: ['cpns1.example.org:7443']\n"
          "server_uri: urn:cpns:server:main\n"
          "tls: {certificate: tls/gateway.pem, key: tls/gateway.key, ca: tls/ca.pem}\nstore: {path: gw}\n"
          "protector: {file: gw.kek}\ntransports:\n" +
              (radio.empty() ? "  - {name: lan, plugin: tcp, params: {listen: 0.0.0.0:7450}}\n" : radio) +
              more);
  }
  void pne(const std::string& radio, const std::string& more) {
    write("pne.yaml",
          "role: pne\ndevices:\n  - {entity: '" + pne_one +
              "', temporary_key_file: a.tk, key_file: a.keys}\n  - {entity: '" + pne_two +
              "', temporary_key_file: b.tk, key_file: b.keys}\nprotector: {file: pne.kek}\ntransports:\n" +
              (radio.empty() ? "  - {name: air, plugin: tcp, params: {connect: 'hub:7450'}}\n" : radio) +
              more);
  }
  void server(const std::string& more, const std::string& listen = "0.0.0.0:7443") {
    write("server.yaml", "role: server\nlisten: " + listen +
                             "\ntls: {certificate: tls/server.pem, key: tls/server.key, ca: tls/ca.pem}\n"
                             "store: {path: s}\nprotector: {file: s.kek}\n" +
                             more);
  }
  [[nodiscard]] std::string path(const std::string& name) const { return (folder / name).string(); }

  /// As the plugins describe themselves, with the presets that matter.
  static doctor::tools use() {
    static const std::map<std::string, std::map<std::string, std::string>> presets{
        {"tcp",
         {{"listen", "127.0.0.1:0"},
          {"announce", ""},
          {"connect", ""},
          {"discover", "0"},
          {"network", "cpns"},
          {"mtu", "1026"}}},
        {"ble", {{"ways", "l2cap, gatt"}, {"mtu", "1026"}}},
        {"loopback", {}},
        {"foreign", {}}};
    return {
        {},
        {},
        [](const config::transport_config& t, const auto&, config::role_kind) -> result<doctor::radio_facts> {
          const auto known = presets.find(t.plugin);
          if (known == presets.end()) return fail(errc::plugin_load, "plugin not found");
          auto params = t.params;
          params.insert(known->second.begin(), known->second.end());
          return doctor::radio_facts{t.plugin, params};
        }};
  }
  /// In both orders, which have the same findings but for their own files.
  [[nodiscard]] doctor::comparison compared(const std::string& other = "pne.yaml") const {
    auto out = doctor::compare(path("gateway.yaml"), path(other), use());
    const auto again = doctor::compare(path(other), path("gateway.yaml"), use());
    EXPECT_EQ(texts(out), texts(again));
    return out;
  }
  static std::vector<std::string> texts(const doctor::comparison& c) {
    std::vector<std::string> out;
    for (const auto& f : c.findings)
      if (f.check != "configuration") out.push_back(f.check + " " + f.what.text);
    return out;
  }
  /// The findings that are not ok, without the folder, as "STATE CHECK TEXT".
  [[nodiscard]] std::vector<std::string> faults(const std::string& other = "pne.yaml") const {
    std::vector<std::string> out;
    for (const auto& f : compared(other).findings) {
      if (f.what.state == state_t::ok) continue;
      auto text = f.what.text;
      for (auto at = text.find(folder.string() + "/"); at != std::string::npos;
           at = text.find(folder.string() + "/"))
        text.erase(at, folder.string().size() + 1);
      out.push_back(std::string{doctor::name_of(f.what.state)} + " " + f.check + " " + text);
    }
    return out;
  }
  /// The only fault has all of these texts.
  void expect_fault(const std::vector<std::string>& has, const std::string& other = "pne.yaml") const {
    const auto found = faults(other);
    ASSERT_EQ(found.size(), 1U) << testing::PrintToString(found);
    for (const auto& text : has) EXPECT_THAT(found.front(), HasSubstr(text));
  }
  static std::string keys(const std::string& purposes, const std::string& more = "") {
    return "application_keys:\n  socket: /run/k.sock\n" + more + "  purposes:\n" + purposes;
  }
  static std::string purpose(const std::string& name, const std::string& more = "") {
    return "    " + name + ":\n" + more + "      allow: {users: [root]}\n";
  }
};

TEST_F(two_files, that_fit_have_no_fault) {
  EXPECT_EQ(faults(), std::vector<std::string>{});
  gateway("", keys(purpose("mqtt", "      bytes: 16\n") + purpose("coap", "      identity: opaque\n")));
  pne("", keys(purpose("coap", "      identity: opaque\n      entities: ['" + pne_one + "']\n") +
               purpose("mqtt", "      bytes: 16\n")));
  EXPECT_EQ(faults(), std::vector<std::string>{});
}

TEST_F(two_files, made_by_cpns_fit) {
  ASSERT_TRUE(make_trial_folder({.folder = folder / "t", .devices = 2}));
  for (const auto* other : {"t/pne.yaml", "t/server.yaml"}) {
    const auto found = doctor::compare(path("t/gateway.yaml"), path(other), use());
    for (const auto& f : found.findings) {
      EXPECT_EQ(f.what.state, state_t::ok) << f.what.text;
      EXPECT_THAT(f.what.text, testing::Not(HasSubstr("not compared")));
    }
    EXPECT_GE(found.findings.size(), 6U);
  }
}

TEST_F(two_files, of_the_examples_fit) {
  const auto examples = std::filesystem::path{CPNS_SOURCE_DIR} / "config/examples";
  for (const auto* other : {"pne.yaml", "server.yaml"})
    for (const auto& f :
         doctor::compare((examples / "gateway.yaml").string(), (examples / other).string(), use()).findings)
      EXPECT_EQ(f.what.state, state_t::ok) << f.what.text;
}

TEST_F(two_files, of_the_wrong_roles_are_one_error) {
  server("");
  for (const auto& [a, b, says] :
       {std::tuple{"gateway.yaml", "gateway.yaml", "are both the configuration of a gateway"},
        {"server.yaml", "pne.yaml", "a server and a pne do not talk to each other"}}) {
    const auto found = doctor::compare(path(a), path(b), use());
    ASSERT_EQ(doctor::count(found.findings, state_t::error), 1U);
    EXPECT_THAT(found.findings.back().what.text,
                AllOf(HasSubstr(says), HasSubstr("compare a gateway with its PNEs")));
  }
}

TEST_F(two_files, with_errors_are_not_compared) {
  write("pne.yaml", "role: pne\nnone: 1\n");
  const auto found = compared();
  EXPECT_EQ(found.role, "gateway");
  EXPECT_EQ(found.with_role, "");
  EXPECT_GE(doctor::count(found.findings, state_t::error), 2U);
  EXPECT_TRUE(std::all_of(found.findings.begin(), found.findings.end(),
                          [](const auto& f) { return f.check == "configuration"; }));
}

TEST_F(two_files, differ_in_a_purpose) {
  struct row {
    std::string here, there;
    std::vector<std::string> says;
  };
  const std::string only_first = "      entities: ['" + pne_one + "']\n";
  for (const auto& [here, there, says] :
       {row{purpose("mqtt", "      bytes: 32\n"),
            purpose("mqtt", "      bytes: 16\n"),
            {"error purposes gateway.yaml:15:14: 'application_keys.purposes.mqtt.bytes' is 32, but "
             "pne.yaml:12:14: "
             "'application_keys.purposes.mqtt.bytes' is 16",
             "share nothing"}},
        row{purpose("mqtt"),
            purpose("mqtt", "      identity: opaque\n"),
            {"error purposes gateway.yaml:15:7: 'application_keys.purposes.mqtt.identity' is readable, but "
             "pne.yaml:12:17: 'application_keys.purposes.mqtt.identity' is opaque"}},
        row{purpose("mqtt") + purpose("coap"),
            purpose("mqtt"),
            {"warning purposes gateway.yaml:17:7: 'application_keys.purposes.coap' is not in pne.yaml:11:5: "
             "'application_keys.purposes'",
             "unless it is for other PNEs"}},
        row{purpose("mqtt"),
            purpose("mqtt") + purpose("coap"),
            {"error purposes pne.yaml:14:7: 'application_keys.purposes.coap' is not in gateway.yaml:14:5: "
             "'application_keys.purposes'",
             "no program of this gateway"}},
        row{purpose("mqtt", "      entities: ['urn:uuid:*']\n"),
            purpose("mqtt"),
            {"error purposes gateway.yaml:15:17: 'application_keys.purposes.mqtt.entities' and "
             "pne.yaml:12:7: "
             "'application_keys.purposes.mqtt.entities' have no device",
             pne_one + " and 1 other"}},
        row{purpose("mqtt", only_first),
            purpose("mqtt"),
            {"warning purposes gateway.yaml:15:17: 'application_keys.purposes.mqtt.entities' does not name " +
             pne_two}}}) {
    gateway("", keys(here));
    pne("", keys(there));
    SCOPED_TRACE(says.front());
    expect_fault(says);
  }
}

TEST_F(two_files, may_differ_in_a_purpose_for_other_devices) {
  gateway("", keys(purpose("mqtt") + purpose("coap", "      entities: ['urn:uuid:*']\n")));
  pne("", keys(purpose("mqtt", "      entities: ['" + pne_one + "']\n")));
  EXPECT_EQ(faults(), std::vector<std::string>{});
}

TEST_F(two_files, say_which_name_was_meant) {
  gateway("", keys(purpose("mqtt")));
  pne("", keys(purpose("mqqt")));
  EXPECT_THAT(faults(), testing::UnorderedElementsAre(HasSubstr("(did you mean 'mqqt'?)"),
                                                      HasSubstr("(did you mean 'mqtt'?)")));
}

TEST_F(two_files, of_which_one_gives_no_keys) {
  pne("", keys(purpose("mqtt")));
  expect_fault({"error purposes pne.yaml:9:3: 'application_keys' gives keys",
                "gateway.yaml:1:1 has no 'application_keys'"});
  gateway("", keys(purpose("mqtt")));
  pne("", "");
  expect_fault({"warning purposes gateway.yaml:12:3: 'application_keys' gives keys",
                "pne.yaml:1:1 has no 'application_keys'"});
}

TEST_F(two_files, differ_in_overlap_alone) {
  gateway("", keys(purpose("mqtt"), "  overlap: 0s\n"));
  pne("", keys(purpose("mqtt"), "  overlap: 30s\n"));
  expect_fault({"warning purposes gateway.yaml:13:12: 'application_keys.overlap' is 0s, but pne.yaml:10:12: "
                "'application_keys.overlap' is 30s"});
  pne("", keys(purpose("mqtt"), "  overlap: 0s\n"));
  EXPECT_EQ(faults(), std::vector<std::string>{}) << "the roles warn of it themselves";
}

TEST_F(two_files, leave_no_time_to_send_a_key_again) {
  gateway("", keys(purpose("mqtt"), "  consumer_wait: 20s\n") + "timers: {answer_timeout: 40s}\n");
  pne("", keys(purpose("mqtt")));
  expect_fault(
      {"warning timers gateway.yaml:",
       "'timers.answer_timeout' (40s) and gateway.yaml:13:18: 'application_keys.consumer_wait' (20s)",
       "a PNE of pne.yaml:1:1 forgets its answer after 1m"});
  gateway("", keys(purpose("mqtt"), "  consumer_wait: 20s\n") + "timers: {answer_timeout: 39s}\n");
  EXPECT_EQ(faults(), std::vector<std::string>{});
}

TEST_F(two_files, exclude_devices) {
  gateway("", "validation: {deny: ['" + pne_one + "']}\n");
  expect_fault({"warning devices gateway.yaml:11:20: 'validation.deny' names " + pne_one +
                " of pne.yaml:3:3: 'devices'"});
  gateway("", "validation: {deny: ['urn:dev:*']}\n");
  expect_fault({"error devices gateway.yaml:11:20: 'validation.deny' names " + pne_one + " and 1 other"});
  gateway("", "validation: {policy: list, allow: ['" + pne_two + "']}\n");
  expect_fault({"warning devices gateway.yaml:11:35: 'validation.allow' does not name " + pne_one});
  gateway("", "validation: {policy: ask, allow: ['urn:uuid:*']}\n");
  EXPECT_EQ(faults(), std::vector<std::string>{}) << "a person may approve them";
  gateway("", "limits: {links: 1}\n");
  expect_fault(
      {"warning devices pne.yaml:3:3: 'devices' has 2 devices, but gateway.yaml:11:17: 'limits.links' is 1"});
}

TEST_F(two_files, with_a_list_of_devices_that_cannot_be_read) {
  write("pne.yaml", "role: pne\ndevices_file: none.csv\nkeys_dir: keys\nprotector: {file: pne.kek}\n"
                    "transports:\n  - {name: air, plugin: tcp, params: {connect: 'hub:7450'}}\n");
  EXPECT_EQ(faults(), std::vector<std::string>{}) << "no setting depends on it";
  gateway("", "validation: {deny: ['" + pne_one + "']}\n");
  expect_fault(
      {"warning devices pne.yaml:2:15: 'devices_file' cannot be read: ", "gateway.yaml:11:13: 'validation'"});
}

std::string tcp_radio(const std::string& params) {
  return "  - {name: r, plugin: tcp, params: {" + params + "}}\n";
}
std::string radio_of(const std::string& name, const std::string& params = "") {
  return "  - {name: r, plugin: " + name + ", params: {" + params + "}}\n";
}

TEST_F(two_files, have_radios_that_do_not_meet) {
  struct row {
    std::string here, there;
    std::vector<std::string> says;
  };
  for (const auto& [here, there, says] :
       {row{tcp_radio("listen: '0.0.0.0:7450', network: home"),
            tcp_radio("connect: 'hub:7450', network: work"),
            {"error radios gateway.yaml:10:70: 'transports[0].params.network' is home, but pne.yaml:7:67: "
             "'transports[0].params.network' is work"}},
        row{tcp_radio("listen: '0.0.0.0:7450'"),
            tcp_radio("connect: 'hub:7451'"),
            {"warning radios pne.yaml:7:46: 'transports[0].params.connect' is hub:7451, but "
             "gateway.yaml:10:45: "
             "'transports[0].params.listen' is 0.0.0.0:7450",
             "forwards the port"}},
        row{tcp_radio("listen: '127.0.0.1:7450'"),
            tcp_radio("connect: '192.0.2.1:7450'"),
            {"warning radios ", "is 192.0.2.1:7450"}},
        row{tcp_radio("listen: '0.0.0.0:7450'"),
            tcp_radio("connect: '[2001:db8::1]:7450'"),
            {"warning radios ", "2001:db8::1"}},
        row{tcp_radio("listen: '0.0.0.0:0'"),
            tcp_radio("connect: 'hub:7450'"),
            {"warning radios ", "where the system chooses the port"}},
        row{tcp_radio("listen: '0.0.0.0:7450', announce: '192.0.2.255:7451'"),
            tcp_radio("discover: '7452'"),
            {"error radios pne.yaml:7:47: 'transports[0].params.discover' is 7452, but gateway.yaml:10:71: "
             "'transports[0].params.announce' is 192.0.2.255:7451"}},
        row{tcp_radio("listen: '0.0.0.0:7450'"),
            tcp_radio("discover: '7451'"),
            {"error radios ", "'transports[0].params.announce' is empty"}},
        row{tcp_radio("listen: '0.0.0.0:7450', mtu: '512'"),
            tcp_radio("connect: 'hub:7450'"),
            {"warning radios gateway.yaml:10:66: 'transports[0].params.mtu' is 512",
             "'transports[0].params.mtu' is 1026"}},
        row{radio_of("ble", "ways: gatt"),
            radio_of("ble", "ways: l2cap"),
            {"error radios ", "'transports[0].params.ways' is gatt"}},
        row{radio_of("ble", "mtu: '512'"),
            radio_of("ble"),
            {"error radios ", "'transports[0].params.mtu' is 512"}},
        row{radio_of("loopback"), radio_of("loopback"), {"error radios ", "stays inside one process"}},
        row{radio_of("ble"),
            tcp_radio("connect: 'hub:1'"),
            {"error radios gateway.yaml:10:3: 'transports': ble; pne.yaml:7:3: 'transports': tcp"}}}) {
    gateway(here, "");
    pne(there, "");
    SCOPED_TRACE(here + there);
    expect_fault(says);
  }
}

TEST_F(two_files, have_radios_that_may_meet) {
  for (const auto& [here, there] :
       {std::pair{tcp_radio("listen: '0.0.0.0:7450'"), tcp_radio("connect: 'other:1, 192.0.2.1:7450'")},
        {tcp_radio("listen: '[::]:7450'"), tcp_radio("connect: '192.0.2.1:7450'")},
        {tcp_radio("listen: '192.0.2.1:7450'"), tcp_radio("connect: '192.0.2.1:7450'")},
        {tcp_radio("listen: '[2001:db8::1]:7450'"), tcp_radio("connect: '[2001:db8:0:0::1]:7450'")},
        {tcp_radio("listen: '0.0.0.0:0', announce: '10.0.0.255:1, 192.0.2.255:7451'"),
         tcp_radio("discover: '7451', connect: 'hub:9'")},
        {tcp_radio("listen: '0.0.0.0:7450', mtu: '2000'"), tcp_radio("connect: 'hub:7450', mtu: '1026'")},
        {radio_of("ble", "ways: 'gatt'"), radio_of("ble")},
        {radio_of("foreign"), radio_of("foreign", "x: '1'")},
        {radio_of("foreign"), tcp_radio("connect: 'hub:7450'")},
        {radio_of("ble") + "  - {name: s, plugin: tcp, params: {listen: '0.0.0.0:7450'}}\n",
         tcp_radio("connect: 'hub:7450'")}}) {
    gateway(here, "");
    pne(there, "");
    EXPECT_EQ(faults(), std::vector<std::string>{}) << here << there;
  }
  gateway(tcp_radio("listen: '0.0.0.0:7450', mtu: none"), "");
  pne("", "");
  EXPECT_EQ(faults().size(), 1U) << "a value that the plugin refuses stops no comparison";
  gateway(radio_of("missing"), "");
  expect_fault(
      {"warning radios gateway.yaml:10:23: 'transports[0].plugin' is not compared: plugin not found"});
}

TEST_F(two_files, lead_to_no_server) {
  server("", "0.0.0.0:7444");
  expect_fault({"warning address gateway.yaml:4:10: 'servers' has no address that leads to server.yaml:2:9: "
                "'listen' (0.0.0.0:7444)"},
               "server.yaml");
  server("", "127.0.0.1:7443");
  EXPECT_EQ(faults("server.yaml"), std::vector<std::string>{}) << "a name can be any address";
  server("cluster: {advertise: 'cpns9.example.org:7443'}\n", "127.0.0.1:9");
  EXPECT_EQ(faults("server.yaml"), std::vector<std::string>{});
  server("cluster: {advertise: '192.0.2.7:7445'}\n");
  expect_fault({"'cluster.advertise' (192.0.2.7:7445)"}, "server.yaml");
}

TEST_F(two_files, renew_keys_of_an_expired_set) {
  server("keys: {lifetime: 2d}\n");
  gateway("", "rekey: {interval: 3d}\n");
  expect_fault({"warning renewal gateway.yaml:11:19: 'rekey.interval' (3d) is longer than server.yaml:6:18: "
                "'keys.lifetime' (2d)"},
               "server.yaml");
  server("keys: {rekey: 10s}\n");
  gateway("", keys(purpose("mqtt"), "  consumer_wait: 10s\n"));
  expect_fault({"warning renewal gateway.yaml:13:18: 'application_keys.consumer_wait' (10s) is not shorter "
                "than server.yaml:6:15: 'keys.rekey' (10s)"},
               "server.yaml");
}

class two_files_with_certificates : public two_files {
 protected:
  void SetUp() override {
    ASSERT_TRUE(make_trial_folder({.folder = folder / "t", .devices = 1}));
    ASSERT_TRUE(make_trial_folder({.folder = folder / "u", .devices = 1}));
    std::filesystem::create_directory(folder / "tls");
    for (const auto* file : {"ca.pem", "server.pem", "gateway.pem"}) copy("t", file, file);
    two_files::SetUp();
    server("");
  }
  void copy(const std::string& from, const std::string& name, const std::string& as) {
    std::filesystem::copy_file(folder / from / "tls" / name, folder / "tls" / as,
                               std::filesystem::copy_options::overwrite_existing);
  }
};

TEST_F(two_files_with_certificates, fit) { EXPECT_EQ(faults("server.yaml"), std::vector<std::string>{}); }

TEST_F(two_files_with_certificates, differ_in_names) {
  server("gateway_uris: ['urn:cpns:gw:hall*']\n");
  expect_fault({"error identity gateway.yaml:6:20: 'tls.certificate' is of urn:cpns:gw:gw1, but "
                "server.yaml:6:15: 'gateway_uris'"},
               "server.yaml");
  server("");
  write("gateway.yaml", [&] {
    std::ifstream in{folder / "gateway.yaml"};
    std::ostringstream text;
    text << in.rdbuf();
    auto out = text.str();
    return out.replace(out.find("server:main"), 11, "server:none");
  }());
  expect_fault({"error identity gateway.yaml:5:13: 'server_uri' is urn:cpns:server:none, but "
                "server.yaml:3:20: 'tls.certificate' is of urn:cpns:server:main"},
               "server.yaml");
}

TEST_F(two_files_with_certificates, are_from_other_authorities) {
  copy("u", "gateway.pem", "gateway.pem");
  expect_fault({"error identity gateway.yaml:6:20: 'tls.certificate' is not from an authority of "
                "server.yaml:3:61: 'tls.ca'"},
               "server.yaml");
  copy("t", "gateway.pem", "gateway.pem");
  copy("u", "server.pem", "server.pem");
  expect_fault({"error identity server.yaml:3:20: 'tls.certificate' is not from an authority of "
                "gateway.yaml:6:63: 'tls.ca'"},
               "server.yaml");
}

TEST_F(two_files_with_certificates, need_one_name_each) {
  copy("t", "ca.pem", "gateway.pem");  // has none
  EXPECT_THAT(
      faults("server.yaml"),
      testing::Contains(AllOf(
          HasSubstr("error identity gateway.yaml:6:20: 'tls.certificate', server.yaml:1:1: 'gateway_uris': "),
          HasSubstr("issue it with one SAN URI"))));
}

}  // namespace
}  // namespace cpns::cli
