#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tests/unit/mosquitto_plugin/fake_broker.hpp"

namespace cpns::tests {
namespace {

std::string entity_of(int number) {
  const auto digits = std::to_string(number);
  return "urn:dev:mac:" + std::string(16 - digits.size(), '0') + digits;
}

/// As fake_role.hpp forms it.
std::string identity_of(int number, const std::string& epoch = "1.0") {
  return entity_of(number).substr(4) + "/" + epoch;
}

std::string put_of(int number, const std::string& epoch = "1.0", const std::string& more = "") {
  const auto entity = entity_of(number);
  return put_text(1, key_text(epoch, "current", true, "5a", entity), more, entity);
}

class Plugin : public testing::Test {
 protected:
  /// Devices 0 to count - 1, with a key each.
  static std::function<void(served&)> devices(int count) {
    return [count](served& link) {
      for (int i = 0; i < count; ++i) link.chunk(put_of(i));
      link.chunk(mark_text(1, "synced"));
    };
  }
  /// A client of each device, served.
  std::vector<::mosquitto*> clients_of(fake_broker& broker, int count) {
    std::vector<::mosquitto*> out;
    for (int i = 0; i < count; ++i) {
      out.push_back(broker.handshake(identity_of(i)));
      EXPECT_NE(out.back(), nullptr) << i;
      broker.connect(out.back(), "client" + std::to_string(i));
    }
    broker.tick();
    return out;
  }
  /// Without a tick: the plugin's thread has read all that was sent before this device.
  static void wait_for(fake_broker& broker, int number) {
    broker.link.chunk(put_of(number));
    ASSERT_TRUE(comes_true([&] { return broker.handshake(identity_of(number)) != nullptr; }));
  }
  static long connected(const fake_broker& broker) {
    return std::count_if(broker.clients.begin(), broker.clients.end(), [](auto& c) { return c.connected; });
  }
  fake_role role;
};

TEST_F(Plugin, MakesTheEntityIdTheNameOfAClient) {
  fake_broker broker{role, devices(1)};
  auto* client = clients_of(broker, 1).front();
  EXPECT_EQ(client->username, entity_of(0));
}

TEST_F(Plugin, ManyDevicesThatEndAtOnceAreRefusedAtOnceAndEndedABoundedNumberATick) {
  constexpr int count = 3'000;
  fake_broker broker{role, devices(count)};
  const auto clients = clients_of(broker, count);
  for (int i = 0; i < count - 1; ++i) broker.link.chunk(gone_text(2, "revoked", entity_of(i)));
  wait_for(broker, count);
  for (int i = 0; i < count - 1; ++i) ASSERT_EQ(broker.handshake(identity_of(i)), nullptr) << i;
  EXPECT_EQ(connected(broker), count + 1) << "no tick came yet";
  std::size_t longest = 0;
  for (int ticks = 0; ticks < 100; ++ticks) {
    const auto before = broker.kicks;
    broker.tick();
    longest = std::max(longest, broker.kicks - before);
  }
  EXPECT_EQ(connected(broker), 2);
  EXPECT_TRUE(clients.back()->connected) << "the device that was not gone";
  EXPECT_LE(longest, 1'024U);
}

TEST_F(Plugin, ASessionThatBeganAfterItsDeviceWasTakenInAgainGoesOn) {
  fake_broker broker{role, devices(1)};
  auto* former = clients_of(broker, 1).front();
  broker.link.chunk(gone_text(2, "forgotten", entity_of(0)) + put_of(0, "2.0", R"(,"sessions_from":"2.0")"));
  wait_for(broker, 1);
  auto* later = broker.handshake(identity_of(0, "2.0"));
  ASSERT_NE(later, nullptr);
  broker.connect(later, "later");
  for (int i = 0; i < 3; ++i) broker.tick();
  EXPECT_FALSE(former->connected);
  EXPECT_TRUE(later->connected);
}

TEST_F(Plugin, ASessionBelowAnEpochEndsAndALaterOneOfTheSameDeviceGoesOn) {
  fake_broker broker{role, devices(1)};
  auto* former = clients_of(broker, 1).front();
  const auto two = key_text("1.0", "current", false, "5a", entity_of(0)) + "," +
                   key_text("1.1", "next", true, "5a", entity_of(0));
  broker.link.chunk(put_text(2, two, "", entity_of(0)));
  wait_for(broker, 1);
  auto* later = broker.handshake(identity_of(0, "1.1"));
  ASSERT_NE(later, nullptr);
  broker.connect(later, "later");
  broker.tick();
  broker.link.chunk(put_of(0, "1.1", R"(,"sessions_from":"1.1")"));
  EXPECT_TRUE(broker.ticks_until([&] { return !former->connected; }));
  EXPECT_TRUE(later->connected);
  EXPECT_EQ(later->username, entity_of(0));
}

TEST_F(Plugin, AClientOfAnotherListenerWithTheSameNameGoesOn) {
  fake_broker broker{role, devices(2)};
  const auto clients = clients_of(broker, 1);
  auto* early = broker.handshake(identity_of(1));  // no CONNECT of it came yet
  const auto* same_identity = broker.other_client("a", identity_of(0));
  const auto* same_entity = broker.other_client("b", entity_of(0));
  const auto* same_early = broker.other_client("c", identity_of(1));
  broker.tick();
  broker.link.chunk(gone_text(2, "revoked", entity_of(0)) + gone_text(2, "revoked", entity_of(1)));
  EXPECT_TRUE(broker.ticks_until([&] { return !clients.front()->connected && !early->connected; }));
  EXPECT_TRUE(same_identity->connected);
  EXPECT_TRUE(same_entity->connected);
  EXPECT_TRUE(same_early->connected);
  EXPECT_EQ(clients.front()->username, entity_of(0)) << "for the rights of its will";
  EXPECT_EQ(clients.front()->kicked_as, entity_of(0))
      << "mosquitto 2.0.18 and later then ask for the rights of its subscriptions";
}

TEST_F(Plugin, AClientThatNamesTheIdOfAnotherOneIsEnded) {
  fake_broker broker{role, devices(2)};
  auto* client = clients_of(broker, 1).front();
  client->id = "b";  // in an exchange of MQTT 5, before the broker knows it by this ID
  broker.other_client("b", "somebody");
  broker.link.chunk(gone_text(2, "revoked", entity_of(0)));
  EXPECT_TRUE(broker.ticks_until([&] { return !client->connected; }));
}

TEST_F(Plugin, AClientThatTheBrokerCannotNameYetDoesNotHinderOthers) {
  fake_broker broker{role, devices(3)};
  std::vector<::mosquitto*> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(broker.handshake(identity_of(i)));
  broker.refuses_name = [&](const ::mosquitto& c) { return &c == clients[0] || &c == clients[2]; };
  broker.tick();
  EXPECT_EQ(clients[1]->username, entity_of(1));
  broker.link.chunk(gone_text(2, "revoked", entity_of(0)) + gone_text(2, "revoked", entity_of(1)));
  EXPECT_TRUE(broker.ticks_until([&] { return !clients[1]->connected; }));
  broker.refuses_name = [](const ::mosquitto&) { return false; };
  EXPECT_TRUE(broker.ticks_until([&] { return !clients[0]->connected; }));
  EXPECT_EQ(clients[2]->username, entity_of(2));
  EXPECT_TRUE(clients[2]->connected);
}

TEST_F(Plugin, ARoleThatComesBackWithFewerDevicesEndsTheOthers) {
  fake_broker broker{role, devices(3)};
  const auto clients = clients_of(broker, 3);
  broker.link.close();
  auto link = fake_broker::accept_watch(role);
  link.chunk(put_of(1));
  broker.tick();
  EXPECT_EQ(connected(broker), 3) << "until the list is whole";
  link.chunk(mark_text(1, "synced"));
  EXPECT_TRUE(broker.ticks_until([&] { return connected(broker) == 1; }));
  EXPECT_TRUE(clients[1]->connected);
  EXPECT_EQ(broker.handshake(identity_of(0)), nullptr);
}

TEST_F(Plugin, WithoutTicksNoKeyIsGivenUntilTheNextOneAndBothCausesAreNamed) {
  fake_broker broker{role, devices(1)};
  broker.tick();
  EXPECT_NE(broker.handshake(identity_of(0)), nullptr);
  EXPECT_TRUE(comes_true([&] { return broker.handshake(identity_of(0)) == nullptr; }));
  EXPECT_TRUE(broker.has_logged("per_listener_settings true"));
  EXPECT_TRUE(broker.has_logged("stood still"));
  broker.tick();
  EXPECT_TRUE(broker.has_logged("keys are given again"));
  EXPECT_NE(broker.handshake(identity_of(0)), nullptr);
}

TEST_F(Plugin, AnEntityIdThatWouldBeAPatternOrALevelOfTopicsGetsNoRights) {
  for (const std::string name :
       {"urn:dev:os:1-a/b", "urn:dev:os:1-+", "urn:dev:os:1-#", "urn:dev:os:1-\\u0007"}) {
    fake_role own;
    fake_broker broker{own, [&](served& link) {
                         link.chunk(put_text(1, key_text("1.0", "current", true, "5a", name), "", name));
                         link.chunk(put_of(0) + mark_text(1, "synced"));
                       }};
    EXPECT_EQ(broker.handshake(name.substr(4) + "/1.0"), nullptr) << name;
    EXPECT_NE(broker.handshake(identity_of(0)), nullptr);
    broker.tick();
    EXPECT_TRUE(broker.has_logged("cannot be used")) << name;
  }
}

TEST_F(Plugin, IsNotLoadedTwice) {
  fake_broker broker{role, devices(1)};
  std::string name = "socket", socket = role.path();
  mosquitto_opt option{name.data(), socket.data()};
  void* second = nullptr;
  EXPECT_NE(mosquitto_plugin_init(nullptr, &second, &option, 1), MOSQ_ERR_SUCCESS);
  EXPECT_TRUE(broker.has_logged("loaded already"));
  EXPECT_EQ(clients_of(broker, 1).front()->username, entity_of(0)) << "the first one serves";
}

}  // namespace
}  // namespace cpns::tests
