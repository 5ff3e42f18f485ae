// `application_keys`: what can be in it, and the lines that are printed for mistakes.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "config/describe.hpp"
#include "config/effective.hpp"
#include "config/loader.hpp"
#include "no_environment.hpp"

namespace cpns::config {
namespace {

/// `keys` begins in line 2.
loaded<pne_config> with_keys(const std::string& keys) {
  return parse_pne(
      "role: pne\n" + keys +
          "\nprotector: {file: k}\ntransports: [{name: a, plugin: tcp}]\n"
          "devices: [{entity: \"urn:dev:mac:0024befffe804ff1\", temporary_key_file: t, key_file: d}]\n",
      "p.yaml", no_environment);
}
std::vector<std::string> faults(const std::string& keys) {
  const auto c = with_keys(keys);
  return c ? std::vector<std::string>{} : c.error().lines();
}
std::string purpose_with(const std::string& members) {
  return "application_keys: {socket: s, purposes: {mqtt: {" + members + "}}}";
}

TEST(application_keys_settings, have_the_defaults_of_the_page) {
  EXPECT_FALSE(with_keys("")->application_keys);
  const auto c = with_keys(
      "application_keys:\n  socket: run/keys.sock\n  purposes:\n    mqtt:\n      allow: {users: "
      "[mosquitto]}\n"
      "    coap: {bytes: 16, identity: opaque, allow: {groups: [a, b]}, entities: [\"urn:dev:mac:*\"]}");
  ASSERT_TRUE(c) << c.error().as_error().detail;
  ASSERT_TRUE(c->application_keys);
  EXPECT_TRUE(c->application_keys->socket.is_absolute());
  EXPECT_EQ(c->application_keys->overlap, std::chrono::seconds{60});
  const auto& all = c->application_keys->purposes;
  ASSERT_EQ(all.size(), 2U);
  const auto& mqtt = all.at("mqtt");
  EXPECT_EQ(mqtt.bytes, 32U);
  EXPECT_EQ(mqtt.identity, identity_form::readable);
  EXPECT_EQ(mqtt.allow.users, std::vector<std::string>{"mosquitto"});
  EXPECT_TRUE(mqtt.entities.empty());
  const auto& coap = all.at("coap");
  EXPECT_EQ(coap.bytes, 16U);
  EXPECT_EQ(coap.identity, identity_form::opaque);
  EXPECT_EQ(coap.allow.groups, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(coap.entities, std::vector<std::string>{"urn:dev:mac:*"});
}

TEST(application_keys_settings, are_refused_with_the_place_of_each_mistake) {
  using lines = std::vector<std::string>;
  const auto good = std::string{"allow: {users: [a]}"};
  EXPECT_EQ(
      faults("application_keys: {purposes: {mqtt: {" + good + "}}}"),
      lines{"p.yaml:2:19: 'application_keys.socket' is missing: Unix socket for the programs that use the "
            "keys. It answers nothing else, and nothing else gives keys. Every user can connect, and is "
            "refused with a reason."});
  EXPECT_EQ(faults("application_keys: {socket: s, purposes: {}}"),
            lines{"p.yaml:2:41: 'application_keys.purposes' names no purpose: give one, or remove "
                  "'application_keys'"});
  EXPECT_EQ(faults(purpose_with("bytes: 15, " + good)),
            lines{"p.yaml:2:56: 'application_keys.purposes.mqtt.bytes' must be from 16 to 64, not '15'"});
  EXPECT_EQ(faults(purpose_with("bytes: 65, " + good)),
            lines{"p.yaml:2:56: 'application_keys.purposes.mqtt.bytes' must be from 16 to 64, not '65'"});
  EXPECT_EQ(
      faults(purpose_with("identity: opaqe, " + good)),
      lines{"p.yaml:2:59: 'application_keys.purposes.mqtt.identity' must be one of readable, opaque, not "
            "'opaqe'; did you mean 'opaque'?"});
  EXPECT_EQ(
      faults(purpose_with("allow: {}")),
      lines{"p.yaml:2:56: 'application_keys.purposes.mqtt.allow' names nobody: without 'users' or 'groups' "
            "no program gets these keys"});
  EXPECT_EQ(
      faults(purpose_with("allow: {users: [\"a b\"]}")),
      lines{"p.yaml:2:65: 'application_keys.purposes.mqtt.allow.users[0]': 'a b' is not a name: 1 to 64 "
            "letters, digits, '.', '_' and '-'"});
  EXPECT_EQ(faults(purpose_with(good + ", entities: [\"urn:x\"]")).size(), 1U);
  EXPECT_EQ(faults(purpose_with(good + ", entities: []")).size(), 1U);
  EXPECT_EQ(faults(purpose_with(good + ", audience: server")),
            lines{"p.yaml:2:70: 'audience' is not a key of 'application_keys.purposes.mqtt'"});
  EXPECT_EQ(
      faults("application_keys: {socket: s, purposes: {Mqtt: {" + good + "}}}"),
      lines{"p.yaml:2:42: 'application_keys.purposes': 'Mqtt' is not the name of a purpose: 1 to 16 of a-z, "
            "0-9 and '-', without '-' at the beginning"});
  EXPECT_EQ(faults("application_keys: {socket: d, purposes: {mqtt: {" + good + "}}}").size(), 1U)
      << "that of key_file";
  EXPECT_EQ(faults("application_keys: {socket: p.sock, purposes: {mqtt: {" + good + "}}}").size(), 1U)
      << "the default of api.socket";
  EXPECT_EQ(
      faults("application_keys: {socket: /" + std::string(120, 's') + ", purposes: {mqtt: {" + good + "}}}")
          .size(),
      1U);
}

TEST(application_keys_settings, have_an_overlap_from_none_to_six_hours) {
  const auto with = [](const std::string& overlap) {
    return "application_keys: {socket: s, overlap: " + overlap + ", purposes: {mqtt: {allow: {users: [a]}}}}";
  };
  EXPECT_EQ(with_keys(with("0s"))->application_keys->overlap, milliseconds{0});
  EXPECT_EQ(with_keys(with("6h"))->application_keys->overlap, std::chrono::hours{6});
  using lines = std::vector<std::string>;
  EXPECT_EQ(faults(with("7h")),
            lines{"p.yaml:2:40: 'application_keys.overlap' must be from 0s to 6h, not '7h'"});
  EXPECT_EQ(faults(with("soon")).size(), 1U);
}

TEST(application_keys_settings, are_shown_and_compared) {
  const auto before = *with_keys(purpose_with("allow: {users: [a]}")), none = *with_keys("");
  const auto shown = effective(before);
  const auto& purpose = shown.at("application_keys").at("purposes").at("mqtt").as_object();
  EXPECT_EQ(purpose.at("bytes").to_number<int>(), 32);
  EXPECT_EQ(purpose.at("identity").as_string(), "readable");
  EXPECT_TRUE(effective(none).at("application_keys").is_null());
  const auto changed = *with_keys(purpose_with("bytes: 16, allow: {users: [a]}"));
  const auto found = differences(before, changed);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].key, "application_keys.purposes");
  EXPECT_FALSE(found[0].reloadable);
  EXPECT_EQ(differences(none, before).size(), 2U);
  const auto page = reference_markdown();
  EXPECT_NE(page.find("`application_keys.purposes.NAME.bytes`"), std::string::npos);
  const auto schema = boost::json::parse(json_schema(role_kind::gateway));
  const auto& of_purpose =
      schema.at_pointer("/properties/application_keys/properties/purposes/additionalProperties");
  EXPECT_EQ(of_purpose.at("type").as_string(), "object");
  EXPECT_FALSE(of_purpose.at("additionalProperties").as_bool());
}

}  // namespace
}  // namespace cpns::config
