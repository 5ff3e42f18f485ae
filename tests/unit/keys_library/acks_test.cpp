// The gateway waits for the acknowledgements of a program that asks for it: which revision is acked, when, and how often.

#include <gtest/gtest.h>

#include <optional>

#include "fake_role.hpp"

namespace cpns::tests {
namespace {

const std::string begun = R"({"event":"begun","revision":1,"watch":"w-7"})"
                          "\n";
const std::string no_content = "HTTP/1.1 204 No Content\r\n\r\n";

std::string ack_of(int revision) {
  const auto number = std::to_string(revision);
  const auto body = R"({"watch":"w-7","revision":)" + number + "}";
  return "POST /v1/keys/mqtt/acks HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
         "application/json\r\nCpns-Request-Id: ack-" +
         number + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

class Acks : public ::testing::Test {
 protected:
  void begin(cpns_keys_acks mode) {
    program.emplace(role.path(), mode);
    link = program->accepted_by(role);
    EXPECT_TRUE(link.request().starts_with("GET /v1/keys/mqtt?watch=true&acks=true HTTP/1.1\r\n"));
    link.begin();
    link.chunk(begun + put_text(1, key_text("1.0", "current", true)));
    program->events(1);
    EXPECT_FALSE(role.is_asked()) << "the list is not whole, so nothing may be acked";
  }
  /// Dispatches until all that was sent is read.
  void settle() {
    program->until([this] { return !readable(cpns_keys_fd(program->keys), 100); });
  }

  fake_role role;
  std::optional<follower> program;
  served link{-1};
};

TEST_F(Acks, AutomaticallyTheNewestOneAndOneAtATime) {
  begin(CPNS_KEYS_ACKS_AUTOMATIC);
  link.chunk(mark_text(4, "synced"));
  auto acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(4));
  for (int revision = 5; revision <= 9; ++revision) {
    link.chunk(put_text(revision, key_text("1." + std::to_string(revision), "current", true)));
    program->until([&] { return program->said.size() >= static_cast<std::size_t>(revision - 4) * 2; });
  }
  EXPECT_FALSE(acks.has_more());
  acks.send(no_content.substr(0, 12));
  settle();
  EXPECT_FALSE(acks.has_more());
  acks.send(no_content.substr(12));
  program->until([&] { return acks.has_more(); });
  EXPECT_EQ(acks.request(), ack_of(9)) << "over the same connection";
  acks.send(no_content);
  settle();
  EXPECT_FALSE(acks.has_more());
  link.chunk(mark_text(12, "progress"));
  program->until([&] { return acks.has_more(); });
  EXPECT_EQ(acks.request(), ack_of(12));
}

TEST_F(Acks, ByHandOnlyWhatWasDispatched) {
  begin(CPNS_KEYS_ACKS_MANUAL);
  link.chunk(mark_text(4, "synced"));
  program->events(1);
  link.chunk(put_text(5, key_text("1.1", "current", true)));
  program->events(2);
  settle();
  EXPECT_FALSE(role.is_asked());
  EXPECT_EQ(cpns_keys_ack(program->keys), 0);
  link.chunk(put_text(6, key_text("1.2", "current", true)));
  auto acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(5));
  acks.send(no_content);
  program->events(2);
  link.chunk(mark_text(7, "progress"));
  settle();
  EXPECT_FALSE(acks.has_more()) << "revision 6 is not in force yet";
  EXPECT_EQ(cpns_keys_ack(program->keys), 0);
  program->until([&] { return acks.has_more(); });
  EXPECT_EQ(acks.request(), ack_of(7));
  acks.send(no_content);
  settle();
  link.chunk(mark_text(8, "progress"));
  program->until([&] { return acks.has_more(); });
  EXPECT_EQ(acks.request(), ack_of(8)) << "the program has nothing to do for it";
}

TEST_F(Acks, NothingOfAListThatIsNotWhole) {
  begin(CPNS_KEYS_ACKS_AUTOMATIC);
  link.chunk(mark_text(4, "synced"));
  auto acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(4));
  acks.send(no_content);
  link.chunk(mark_text(9, "resync") + put_text(9, key_text("1.3", "current", true)));
  settle();
  EXPECT_FALSE(acks.has_more());
  link.chunk(mark_text(9, "synced"));
  program->until([&] { return acks.has_more(); });
  EXPECT_EQ(acks.request(), ack_of(9));
}

TEST_F(Acks, ARoleThatKnowsNoneIsFollowedWithoutThem) {
  program.emplace(role.path(), CPNS_KEYS_ACKS_AUTOMATIC);
  link = program->accepted_by(role);
  link.request();
  link.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\n{}");
  auto second = program->accepted_by(role);
  EXPECT_TRUE(second.request().starts_with("GET /v1/keys/mqtt?watch=true HTTP/1.1\r\n"));
  second.begin();
  second.chunk(put_text(1, key_text("1.0", "current", true)) + mark_text(1, "synced"));
  EXPECT_EQ(program->events(2), (texts{"put 1.0 current use", "synced 0"})) << "nothing was lost";
  settle();
  EXPECT_FALSE(role.is_asked());
  second.close();
  program->events(1);
  link = program->accepted_by(role);
  EXPECT_TRUE(link.request().starts_with("GET /v1/keys/mqtt?watch=true&acks=true "))
      << "the role may be a newer one";
}

TEST_F(Acks, AConnectionThatTheRoleClosedIsMadeAgain) {
  begin(CPNS_KEYS_ACKS_AUTOMATIC);
  link.chunk(mark_text(4, "synced"));
  auto acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(4));
  acks.send(no_content);
  settle();
  acks.close();
  settle();
  EXPECT_FALSE(role.is_asked()) << "there is nothing to send";
  link.chunk(mark_text(5, "progress"));
  acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(5));
  acks.close();  // without an answer
  acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(5));
  acks.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(5));
}

TEST_F(Acks, OfAWatchThatIsOverAreNotRepeated) {
  begin(CPNS_KEYS_ACKS_AUTOMATIC);
  link.chunk(mark_text(4, "synced"));
  auto acks = program->accepted_by(role);
  acks.request();
  acks.send("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}");
  link.chunk(mark_text(5, "progress"));
  settle();
  EXPECT_FALSE(acks.has_more());
  EXPECT_STREQ(cpns_keys_error(program->keys), "the role refuses an acknowledgement (404)");
  link.close();
  link = program->accepted_by(role);
  EXPECT_TRUE(acks.is_closed()) << "it belongs to the watch";
  link.request();
  link.begin();
  link.chunk(begun + mark_text(2, "synced"));
  acks = program->accepted_by(role);
  EXPECT_EQ(acks.request(), ack_of(2)) << "revisions begin again with the role";
}

TEST_F(Acks, ByHandWithoutTheModeIsAMistake) {
  program.emplace(role.path());
  EXPECT_EQ(cpns_keys_ack(program->keys), -EINVAL);
}

}  // namespace
}  // namespace cpns::tests
