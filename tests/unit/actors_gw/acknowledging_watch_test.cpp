// Watches of programs that acknowledge the application keys of a gateway.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "application_keys_fixture.hpp"

namespace cpns::application_key_tests {
namespace {

struct acknowledging_watch : application_keys {
  api::outcome post(const std::string& body, uid_t user = 0) {
    auto found = routes.find(api::verb::post, "/v1/keys/mqtt/acks");
    api::request r;
    r.verb = api::verb::post;
    r.path_values = found.values;
    r.content_type = "application/json";
    r.body = secret_bytes{to_bytes(as_bytes(body))};
    r.from.process.uid = user;
    return found.to->handle(r);
  }
};

TEST_F(acknowledging_watch, has_a_name_and_takes_what_it_was_sent) {
  save(keyed(1));
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}, {"acks", "true"}});
  ASSERT_TRUE(got) << got.error().detail;
  const auto lines = lines_of(*got->parts);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(text_of(lines[0], "event"), "begun");
  const auto name = text_of(lines[0], "watch");
  save(keyed(2));
  int ready = 0;
  const auto w = programs.wait_for(device(2), true, [&ready] { ++ready; });
  const auto next = std::to_string(changes.newest());
  const auto early = post(R"({"watch":")" + name + R"(","revision":)" + next + "}");
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().status, 400U);
  ASSERT_EQ(lines_of(*got->parts).size(), 1U);
  const auto foreign = post(R"({"watch":")" + name + R"(","revision":)" + next + "}", broker);
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().status, 403U);
  const auto done = post(R"({"watch":")" + name + R"(","revision":)" + next + "}");
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->status, 204U);
  EXPECT_EQ(ready, 1);
}

TEST_F(acknowledging_watch, is_a_watch) {
  const auto alone = ask("/v1/keys/mqtt", {.uid = 0}, {{"acks", "true"}});
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().field, "acks");
  const auto unknown = post(R"({"watch":"0000000000000000","revision":0})");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, "no-such-watch");
}

TEST_F(acknowledging_watch, takes_nothing_before_all_devices_were_sent) {
  for (int n = 1; n <= 100; ++n) save(keyed(n));
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}, {"acks", "true"}});
  ASSERT_TRUE(got);
  const auto first = got->parts->next();
  ASSERT_TRUE(first);
  ASSERT_THAT(*first, testing::Not(HasSubstr("synced")));
  const auto begun = json::parse(first->substr(0, first->find('\n')));
  const auto body =
      R"({"watch":")" + text_of(begun, "watch") + R"(","revision":)" + std::to_string(changes.newest()) + "}";
  EXPECT_FALSE(post(body));
  lines_of(*got->parts);
  EXPECT_TRUE(post(body));
}

}  // namespace
}  // namespace cpns::application_key_tests
