// A role with a fault: garbage, lines without an end, silence; and many devices. The program keeps its table and its
// memory stays bounded.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <random>
#include <set>
#include <string>
#include <string_view>

#include "fake_role.hpp"

extern "C" {
#include "handle.h"
}

namespace cpns::tests {
namespace {

class Bounds : public ::testing::Test {
 protected:
  served begin() {
    auto link = program.accepted_by(role);
    link.request();
    link.begin();
    return link;
  }
  /// Sends in pieces, and lets the program read, until the connection is over.
  void pour(served& link, const std::string& piece, int times) {
    for (int i = 0; i < times && program.said.empty(); ++i) {
      link.chunk(piece);
      program.until([this, before = program.dispatches] { return program.dispatches > before; });
    }
  }
  fake_role role;
  follower program{role.path()};
};

TEST_F(Bounds, ALineWithoutEndEndsTheConnection) {
  auto link = begin();
  pour(link, std::string(60'000, ' '), 100);
  EXPECT_EQ(program.said, texts{"lost: the role sent a line that is too long"});
  EXPECT_TRUE(link.is_closed());
}

TEST_F(Bounds, ALongLineIsReadInWhole) {
  auto link = begin();
  std::string keys;
  for (int i = 0; i < 1024; ++i)
    keys += (i == 0 ? "" : ",") + key_text("1." + std::to_string(i), "next", i == 5);
  const auto line = put_text(1, keys);
  ASSERT_GT(line.size(), 190'000U);
  for (std::size_t at = 0; at < line.size(); at += 50'000) {
    link.chunk(std::string_view{line}.substr(at, 50'000));
    program.until([this, before = program.dispatches] { return program.dispatches > before; });
  }
  EXPECT_EQ(program.events(1024).size(), 1024U);
  keys += "," + key_text("2.0", "next", false);
  const auto longer = put_text(2, keys);
  for (std::size_t at = 0; at < longer.size(); at += 50'000) {
    link.chunk(std::string_view{longer}.substr(at, 50'000));
    program.until([this, before = program.dispatches] { return program.dispatches > before; });
  }
  EXPECT_EQ(program.said, texts{"lost: the role sent too many keys of one device"});
}

TEST_F(Bounds, AFullTableTakesKeysInPlaceOfOthers) {
  const std::string other = "urn:dev:os:32473-1";
  program.keys->table.keys_max = 3;
  auto link = begin();
  link.chunk(put_text(1, key_text("1.0", "current", true) + "," + key_text("1.1", "next", false)) +
             put_text(2, key_text("1.0", "current", true, "5a", other), "", other) + mark_text(2, "synced"));
  program.events(4);
  link.chunk(put_text(3, key_text("1.1", "current", true) + "," + key_text("1.2", "next", false)) +
             put_text(4, key_text("1.0", "previous", false, "5a", other), "", other));
  for (const auto& said : program.events(4)) EXPECT_FALSE(said.starts_with("lost")) << said;
  cpns_key found{};
  ASSERT_EQ(cpns_keys_current(program.keys, device.c_str(), &found), 0);
  EXPECT_STREQ(found.epoch, "1.1");
  link.chunk(put_text(5,
                      key_text("1.0", "previous", false, "5a", other) + "," +
                          key_text("1.1", "current", true, "5a", other),
                      "", other));
  EXPECT_EQ(program.events(1), texts{"lost: the role sent more keys than this library keeps"});
  EXPECT_EQ(cpns_keys_current(program.keys, other.c_str(), &found), -ENOENT);
  EXPECT_EQ(cpns_keys_current(program.keys, device.c_str(), &found), 0);
}

TEST_F(Bounds, ALongRefusalIsCut) {
  auto link = program.accepted_by(role);
  link.request();
  link.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 1000000\r\n\r\n" + std::string(60'000, ' '));
  EXPECT_EQ(program.events(1), texts{"lost: the role refuses (403)"});
}

TEST_F(Bounds, GarbageIsSurvivedAndTheTableStays) {
  auto link = begin();
  link.chunk(put_text(1, key_text("1.0", "current", true)) + mark_text(1, "synced"));
  program.events(2);
  std::mt19937 random{7};
  const auto good = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string{"4ff\r\n"} +
                    put_text(2, key_text("1.0", "current", true) + "," + key_text("1.1", "next", false));
  for (int round = 0; round < 200; ++round) {
    cpns_keys* k = nullptr;
    ASSERT_EQ(cpns_keys_open(&k, role.path().c_str(), "mqtt", nullptr), 0);
    EXPECT_EQ(cpns_keys_dispatch(k), 0);
    auto other = role.accept();
    auto text = good;
    for (int i = 0; i < 4; ++i) text[random() % text.size()] = static_cast<char>(random());
    other.send(text);
    other.close();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(cpns_keys_dispatch(k), 0);
    cpns_keys_close(k);
  }
  link.send("garbage\r\n");
  EXPECT_EQ(program.events(1), texts{"lost: the answer of the role is not HTTP"});
  cpns_key found{};
  EXPECT_EQ(cpns_keys_current(program.keys, device.c_str(), &found), 0);
}

TEST_F(Bounds, ARoleThatClosesAtOnceIsAskedAgain) {
  for (int i = 0; i < 3; ++i) program.accepted_by(role).close();
  EXPECT_EQ(program.said, texts{"lost: the role ended the connection"});
}

TEST(Send, RaisesNoSignal) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  ::close(ends[1]);
  auto* const before = ::signal(SIGPIPE, SIG_DFL);
  EXPECT_FALSE(send_whole(ends[0], "x", 1));
  ::signal(SIGPIPE, before);
  ::close(ends[0]);
}

std::set<int> descriptors() {
  std::set<int> out;
  for (int fd = 0; fd < 256; ++fd)
    if (::fcntl(fd, F_GETFD) >= 0) out.insert(fd);
  return out;
}

TEST_F(Bounds, EachDescriptorClosesOnExecAndIsClosed) {
  const auto before = descriptors();
  {
    follower second{role.path(), CPNS_KEYS_ACKS_AUTOMATIC};
    auto link = second.accepted_by(role);
    link.request();
    link.begin();
    link.chunk(R"({"event":"begun","watch":"w"})"
               "\n" +
               mark_text(1, "synced"));
    const auto acks = second.accepted_by(role);
    const auto now = descriptors();
    EXPECT_EQ(now.size(), before.size() + 4 + 2) << "epoll, timer, two sockets; and those of the role";
    for (const int fd : now)
      EXPECT_TRUE(before.contains(fd) || (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) << fd;
  }
  EXPECT_EQ(descriptors(), before);
}

TEST_F(Bounds, ADispatchIsBoundedAndManyDevicesFit) {
  constexpr int devices = 20'000;
  auto link = begin();
  for (int i = 0; i < devices; i += 50) {
    std::string part;
    for (int n = i; n < i + 50; ++n) {
      const auto entity = "urn:dev:os:32473-" + std::to_string(n);
      part += put_text(1, key_text("1.0", "current", true, "5a", entity), "", entity);
    }
    link.chunk(part);
    program.until([&] { return program.said.size() >= static_cast<std::size_t>(i) + 50; });
  }
  link.chunk(mark_text(1, "synced"));
  program.until([&] { return program.said.size() > devices; });
  for (int n = 0; n < devices; ++n) {
    const auto entity = "urn:dev:os:32473-" + std::to_string(n);
    cpns_key k{};
    ASSERT_EQ(cpns_keys_by_identity(program.keys, (entity.substr(4) + "/1.0").c_str(), &k), 0);
    ASSERT_EQ(k.entity, entity);
  }
  link.close();
  program.said.clear();
  link = program.accepted_by(role);
  link.request();
  link.begin();
  link.chunk(mark_text(1, "synced"));
  program.until([&] { return program.said.size() >= 2 * devices + 2; });
  EXPECT_EQ(program.said.back(), "synced 0");
}

}  // namespace
}  // namespace cpns::tests
