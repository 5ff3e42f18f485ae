// What a program sees of a watch: keys, their changes, the end of keys and sessions, and new connections.

#include <gtest/gtest.h>

#include <cstring>

#include "fake_role.hpp"

namespace cpns::tests {
namespace {

class Follow : public ::testing::Test {
 protected:
  /// A watch whose list was `lines`.
  served synced(const std::string& lines, std::size_t events) {
    auto link = program.accepted_by(role);
    first_request = link.request();
    link.begin();
    link.chunk(lines + mark_text(1, "synced"));
    program.events(events + 1);
    return link;
  }
  std::string byte_of(const std::string& identity) {
    cpns_key k{};
    if (cpns_keys_by_identity(program.keys, identity.c_str(), &k) != 0) return "none";
    char out[3];
    std::snprintf(out, sizeof out, "%02x", k.bytes[k.length - 1]);
    return out;
  }
  std::string current() {
    cpns_key k{};
    return cpns_keys_current(program.keys, device.c_str(), &k) == 0 ? k.epoch : "none";
  }

  fake_role role;
  follower program{role.path()};
  std::string first_request;
};

TEST_F(Follow, KeysAreThereWithAllThatIsKnownOfThem) {
  auto link = program.accepted_by(role);
  EXPECT_EQ(
      link.request(),
      "GET /v1/keys/mqtt?watch=true HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n");
  link.begin();
  link.chunk(
      R"({"event":"put","revision":3,"new":[{"a":null}],"entity":"urn:dev:mac:0024befffe804ff1","keys":[{"entity":)"
      R"("urn:dev:mac:0024befffe804ff1","epoch":"3.8","state":"current","use":true,"since":"2026-11-30T20:00:00.123Z",)"
      R"("identity":"dev.mac\u002e0024befffe804ff1\/3.8/mqtt","fingerprint":"bcbf5229f22e6c8c",)"
      R"("key":"65e9ecde6a2df5207ee9bc8cb0e8f6e7cde997133208188521A4D95CF93D4FE4"}]})"
      "\n");
  EXPECT_EQ(program.events(1), texts{"put 3.8 current use"});
  EXPECT_FALSE(cpns_keys_is_synced(program.keys));
  link.chunk(R"({"event":"synced","revision":3,"unreadable":2})"
             "\n");
  EXPECT_EQ(program.events(1), texts{"synced 2"});
  EXPECT_TRUE(cpns_keys_is_synced(program.keys));
  cpns_key k{};
  ASSERT_EQ(cpns_keys_current(program.keys, device.c_str(), &k), 0);
  EXPECT_EQ(k.entity, device);
  EXPECT_STREQ(k.identity, "dev.mac.0024befffe804ff1/3.8/mqtt");
  EXPECT_EQ(k.since_ms, 1'796'068'800'123);
  ASSERT_EQ(k.length, 32U);
  EXPECT_EQ(k.bytes[0], 0x65);
  EXPECT_EQ(k.bytes[31], 0xe4);
  EXPECT_EQ(cpns_keys_by_identity(program.keys, "dev.mac.0024befffe804ff1/3.8/mqtt", &k), 0);
  EXPECT_EQ(cpns_keys_by_identity(program.keys, "dev.mac.0024befffe804ff1/3.9/mqtt", &k), -ENOENT);
  EXPECT_EQ(cpns_keys_current(program.keys, other_device.c_str(), &k), -ENOENT);
  EXPECT_STREQ(cpns_keys_error(program.keys), "");
}

TEST_F(Follow, OneByteAtATimeIsTheSame) {
  auto link = program.accepted_by(role);
  link.request();
  const auto lines = put_text(1, key_text("1.0", "current", true)) + mark_text(1, "synced");
  char size[16];
  std::snprintf(size, sizeof size, "%zX;x=y\r\n", lines.size());
  const auto answer = "HTTP/1.1 200 OK\r\ntransfer-encoding:  chunked\r\n\r\n" + (size + lines) + "\r\n";
  for (const char c : answer) {
    link.send({&c, 1});
    program.until([this, before = program.dispatches] { return program.dispatches > before; });
  }
  EXPECT_EQ(program.said, (texts{"put 1.0 current use", "synced 0"}));
}

TEST_F(Follow, ALineInManyChunksAndManyLinesInOneAreTheSame) {
  auto link = program.accepted_by(role);
  link.request();
  link.begin();
  const auto line = put_text(1, key_text("1.0", "current", true));
  link.chunk(line.substr(0, 40));
  link.chunk(line.substr(40, 100));
  link.chunk(line.substr(140) + mark_text(1, "synced") + put_text(2, key_text("1.1", "current", true)) +
             "{\"event\"");
  EXPECT_EQ(program.events(4),
            (texts{"put 1.0 current use", "synced 0", "put 1.1 current use", "gone 1.0 retired"}));
  link.chunk(R"(:"new-in-a-later-version"})"
             "\n\n" +
             mark_text(3, "heartbeat") + gone_text(4, "none"));
  EXPECT_EQ(program.events(2), (texts{"gone 1.1 none", "end " + device + " all none"}));
}

TEST_F(Follow, ARotationKeepsTheOldKeyUntilItIsListedNoMore) {
  auto link = synced(put_text(1, key_text("1.9", "current", true, "19")), 1);
  link.chunk(
      put_text(2, key_text("1.9", "current", true, "19") + "," + key_text("1.10", "next", false, "20")));
  EXPECT_EQ(program.events(1), texts{"put 1.10 next"});
  EXPECT_EQ(current(), "1.9");
  EXPECT_EQ(byte_of("dev:mac:0024befffe804ff1/1.10"), "20");
  link.chunk(
      put_text(3, key_text("1.9", "previous", false, "19") + "," + key_text("1.10", "current", true, "20")));
  EXPECT_EQ(program.events(2), (texts{"put 1.9 previous", "put 1.10 current use"}));
  EXPECT_EQ(current(), "1.10");
  EXPECT_EQ(byte_of("dev:mac:0024befffe804ff1/1.9"), "19");
  link.chunk(put_text(4, key_text("1.10", "current", true, "20")));
  EXPECT_EQ(program.events(1), texts{"gone 1.9 retired"});
  EXPECT_EQ(byte_of("dev:mac:0024befffe804ff1/1.9"), "none");
  link.chunk(put_text(5, key_text("1.10", "current", true, "20")) + mark_text(6, "progress") +
             gone_text(7, "reset"));
  EXPECT_EQ(program.events(2), (texts{"gone 1.10 reset", "end " + device + " all reset"}))
      << "a repeated line changes nothing";
  EXPECT_EQ(current(), "none");
}

TEST_F(Follow, SessionsBelowAnEpochEnd) {
  auto link =
      synced(put_text(1, key_text("1.9", "current", true) + "," + key_text("1.10", "next", false)), 2);
  const auto healed = key_text("1.11", "current", true);
  link.chunk(put_text(2, healed, R"(,"sessions_from":"1.10")"));
  EXPECT_EQ(program.events(4), (texts{"put 1.11 current use", "gone 1.9 replaced", "gone 1.10 retired",
                                      "end " + device + " 1.10 replaced"}));
  link.chunk(put_text(3, key_text("1.12", "current", true), R"(,"sessions_from":"1.10")"));
  EXPECT_EQ(program.events(2), (texts{"put 1.12 current use", "gone 1.11 retired"})) << "said once";
}

TEST_F(Follow, EachReasonHasItsCode) {
  auto link = synced("", 0);
  for (const std::string why :
       {"forgotten", "reset", "rejected", "quarantined", "revoked", "moved", "none"}) {
    link.chunk(put_text(2, key_text("1.0", "current", true)) + gone_text(3, why));
    EXPECT_EQ(program.events(3),
              (texts{"put 1.0 current use", "gone 1.0 " + why, "end " + device + " all " + why}));
  }
  link.chunk(put_text(4, key_text("1.0", "current", true)) + gone_text(5, "unreadable") +
             gone_text(6, "in a later version"));
  EXPECT_EQ(program.events(3),
            (texts{"put 1.0 current use", "gone 1.0 unreadable", "end " + device + " all unknown"}));
}

TEST_F(Follow, AnotherFormOfTheSameKeyReplacesIt) {
  auto link = synced(put_text(1, key_text("1.0", "current", true, "01")), 1);
  link.chunk(put_text(2, key_text("1.0", "current", true, "02")));
  EXPECT_EQ(program.events(2), (texts{"gone 1.0 replaced", "put 1.0 current use"}));
  EXPECT_EQ(byte_of("dev:mac:0024befffe804ff1/1.0"), "02");
}

TEST_F(Follow, TheTableStaysUntilTheNextListIsWholeAndLosesThoseThatAreNotInIt) {
  const auto here = put_text(1, key_text("1.0", "current", true));
  auto link =
      synced(here + put_text(1, key_text("7.0", "current", true, "77", other_device), "", other_device), 2);
  link.close();
  EXPECT_EQ(program.events(1), texts{"lost: the role ended the connection"});
  EXPECT_EQ(current(), "1.0");
  EXPECT_TRUE(cpns_keys_is_synced(program.keys));
  link = program.accepted_by(role);
  link.request();
  link.begin();
  link.chunk(here);
  const std::string half = R"({"event":"syn)";
  link.chunk(half);
  program.until([this, before = program.dispatches] { return program.dispatches > before; });
  link.close();
  EXPECT_TRUE(program.said.empty())
      << "a list that was cut removes nothing, and the same reason is said once";
  link = program.accepted_by(role);
  link.request();
  link.begin();
  link.chunk(here + mark_text(1, "synced"));
  EXPECT_EQ(program.events(3),
            (texts{"gone 7.0 unknown", "end " + other_device + " all unknown", "synced 0"}));
  EXPECT_EQ(current(), "1.0");
}

TEST_F(Follow, AResyncIsAListOfAllDevices) {
  const auto here = put_text(1, key_text("1.0", "current", true));
  auto link =
      synced(here + put_text(1, key_text("7.0", "current", true, "77", other_device), "", other_device), 2);
  link.chunk(mark_text(9, "resync") + here);
  link.chunk(mark_text(9, "synced"));
  EXPECT_EQ(program.events(3),
            (texts{"gone 7.0 unknown", "end " + other_device + " all unknown", "synced 0"}));
}

TEST_F(Follow, ARoleThatIsNotThereIsWaitedFor) {
  role.close();
  EXPECT_EQ(program.events(1),
            texts{"lost: cannot connect to " + role.path() + ": No such file or directory"});
  EXPECT_EQ(cpns_keys_wait_synced(program.keys, 250), -ETIMEDOUT);
  EXPECT_TRUE(program.said.empty());
  role.open();
  auto link = program.accepted_by(role);
  link.begin();
  link.chunk(mark_text(1, "synced"));
  EXPECT_EQ(cpns_keys_wait_synced(program.keys, patience_ms), 0);
  EXPECT_EQ(program.said, texts{"synced 0"});
  EXPECT_STREQ(cpns_keys_error(program.keys), "");
}

TEST_F(Follow, PausesGrow) {
  role.close();
  const auto begin = std::chrono::steady_clock::now();
  program.until([&] { return std::chrono::steady_clock::now() - begin > std::chrono::milliseconds{1600}; });
  // At 0, 100, 300, 700 and 1500 ms.
  EXPECT_GE(program.dispatches, 4);
  EXPECT_LE(program.dispatches, 6);
}

TEST_F(Follow, ARefusalIsASentenceOfTheRole) {
  auto link = program.accepted_by(role);
  const std::string problem =
      R"({"type":"about:blank","status":403,"code":"keys-not-allowed","detail":"name it in\n'application_keys.purposes.mqtt.allow'"})";
  link.send("HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: " +
            std::to_string(problem.size()) + "\r\n\r\n" + problem.substr(0, 50));
  program.until([this, before = program.dispatches] { return program.dispatches > before; });
  link.send(problem.substr(50));
  EXPECT_EQ(cpns_keys_wait_synced(program.keys, patience_ms), -EACCES);
  EXPECT_STREQ(cpns_keys_error(program.keys),
               "the role refuses (403 keys-not-allowed): name it in 'application_keys.purposes.mqtt.allow'");
  EXPECT_EQ(program.said, texts{std::string{"lost: "} + cpns_keys_error(program.keys)});
}

TEST_F(Follow, APurposeThatTheRoleDoesNotHaveIsSaidAtOnce) {
  auto link = program.accepted_by(role);
  link.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(cpns_keys_wait_synced(program.keys, patience_ms), -ENOENT);
  EXPECT_STREQ(cpns_keys_error(program.keys), "the role refuses (404)");
}

TEST(Open, RefusesWhatCannotBe) {
  cpns_keys* k = nullptr;
  for (const char* purpose : {"", "-a", "Mqtt", "a/b", "a b", "abcdefghijklmnopq"})
    EXPECT_EQ(cpns_keys_open(&k, "/run/keys.sock", purpose, nullptr), -EINVAL) << purpose;
  EXPECT_EQ(cpns_keys_open(&k, "", "mqtt", nullptr), -EINVAL);
  EXPECT_EQ(cpns_keys_open(&k, std::string(108, 'a').c_str(), "mqtt", nullptr), -EINVAL);
  EXPECT_EQ(k, nullptr);
  ASSERT_EQ(cpns_keys_open(&k, std::string(107, 'a').c_str(), "abcdefghijklmno0", nullptr), 0);
  EXPECT_EQ(cpns_keys_dispatch(k), 0) << "without a callback";
  cpns_keys_close(k);
  cpns_keys_close(nullptr);
}

}  // namespace
}  // namespace cpns::tests
