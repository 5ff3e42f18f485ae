// Programs that watch the application keys of a gateway.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "application_keys_fixture.hpp"

namespace cpns::application_key_tests {
namespace {

std::string event_of(const json::value& line) { return text_of(line, "event"); }

TEST_F(application_keys, are_watched_from_their_present_state_on) {
  for (int n = 1; n <= 100; ++n) save(keyed(n));
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got) << got.error().detail;
  EXPECT_EQ(got->type, "application/x-ndjson");
  ASSERT_TRUE(got->parts->goes_on());
  int wakes = 0;
  const auto ticket = got->parts->listen([&wakes] { ++wakes; });
  const auto first = lines_of(*got->parts);
  ASSERT_EQ(first.size(), 101U);
  EXPECT_EQ(event_of(first.back()), "synced");
  EXPECT_EQ(event_of(first[0]), "put");
  EXPECT_EQ(first[0].at("keys").as_array().size(), 2U);
  EXPECT_EQ(wakes, 0);

  auto renewed = keyed(7);
  renewed.keys.erase(renewed.keys.begin(), renewed.keys.begin() + 2);  // 3.3 is confirmed
  renewed.keys[0].use = protocol::key_use::own;
  save(renewed);
  EXPECT_EQ(wakes, 1);
  const auto then = lines_of(*got->parts);
  ASSERT_EQ(then.size(), 1U);
  EXPECT_EQ(text_of(then[0], "entity"), "urn:dev:os:32473-7");
  ASSERT_EQ(then[0].at("keys").as_array().size(), 1U);
  EXPECT_EQ(text_of(then[0].at("keys").at(0), "epoch"), "3.3");
  EXPECT_GT(then[0].at("revision").as_int64(), first.back().at("revision").as_int64());

  auto rejected = keyed(8);
  rejected.standing = protocol::device_standing::rejected;
  save(rejected);
  storage::sealed_batch erased;
  erased.push_back({storage::table::peers, to_bytes(as_bytes(device(9).text())), std::nullopt});
  announcing(changes, erased, [](const status&) {})(rows->write(erased));
  const auto gone = lines_of(*got->parts);
  ASSERT_EQ(gone.size(), 2U);
  EXPECT_EQ(event_of(gone[0]), "gone");
  EXPECT_EQ(text_of(gone[0], "reason"), "rejected");
  EXPECT_EQ(text_of(gone[0], "text"), "the device was rejected");
  EXPECT_EQ(text_of(gone[1], "reason"), "forgotten");
  EXPECT_EQ(text_of(gone[1], "text"), "the device was forgotten");
  EXPECT_THAT(got->parts->heartbeat(), HasSubstr("\"event\":\"heartbeat\""));
}

TEST_F(application_keys, of_a_watch_say_which_sessions_have_to_end) {
  auto r = keyed(1);
  save(r);
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  const auto first = lines_of(*got->parts);
  EXPECT_FALSE(first[0].as_object().contains("sessions_from"));
  r.sessions_from = epoch{3, 4};
  save(r);
  const auto gone = lines_of(*got->parts);
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(event_of(gone[0]), "gone");
  EXPECT_EQ(text_of(gone[0], "reason"), "reset");
  r.keys[3].use = protocol::key_use::unproven;
  save(r);
  const auto next = lines_of(*got->parts);
  ASSERT_EQ(next.size(), 1U);
  EXPECT_EQ(text_of(next[0], "sessions_from"), "3.4");
  ASSERT_EQ(next[0].at("keys").as_array().size(), 1U);
  EXPECT_EQ(text_of(next[0].at("keys").at(0), "state"), "next");
}

TEST_F(application_keys, are_read_again_after_a_write_that_failed) {
  storage::sealed_batch b;
  b.push_back({storage::table::peers, to_bytes(as_bytes(device(1).text())), std::nullopt});
  auto outcome = status{};
  announcing(changes, b, [&outcome](const status& s) { outcome = s; })(fail(errc::store_full));
  EXPECT_FALSE(outcome);
  const auto got = changes.after(0, 10).changes;
  ASSERT_EQ(got.size(), 1U) << "it may be durable all the same";
  EXPECT_EQ(got[0].device, device(1));
}

TEST_F(application_keys, are_sent_again_to_a_watcher_that_was_passed_by_the_changes) {
  save(keyed(1));
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  ASSERT_EQ(lines_of(*got->parts).size(), 2U);
  for (std::size_t i = 0; i <= kept; ++i) changes.changed(device(static_cast<int>(i) + 2));
  const auto again = lines_of(*got->parts);
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(event_of(again[0]), "resync");
  EXPECT_EQ(event_of(again[1]), "put");
  EXPECT_EQ(event_of(again[2]), "synced");
  EXPECT_TRUE(lines_of(*got->parts).empty());
}

TEST_F(application_keys, are_not_sent_again_to_a_slow_watcher_of_few_devices) {
  constexpr int devices = 200;
  for (int n = 1; n <= devices; ++n) save(keyed(n));
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  lines_of(*got->parts);
  std::string text;
  for (int round = 0; round < 100; ++round) {  // 20,000 changes, of which it reads a part before each 2,000
    if (round % 10 == 0) text += got->parts->next().value();
    for (int n = 1; n <= devices; ++n) changes.changed(device(n));
  }
  EXPECT_THAT(text, testing::Not(HasSubstr("resync")));
  EXPECT_EQ(lines_of(*got->parts).size(), static_cast<std::size_t>(devices))
      << "each device once, however often it changed; then quiet";
  EXPECT_TRUE(lines_of(*got->parts).empty());
}

TEST_F(application_keys, of_a_watch_count_the_rows_that_cannot_be_read) {
  save_two_of_which_the_first_is_damaged();
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  const auto lines = lines_of(*got->parts);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(event_of(lines[1]), "synced");
  EXPECT_EQ(lines[1].at("unreadable").as_int64(), 1);
  changes.changed(device(1));
  const auto gone = lines_of(*got->parts);
  ASSERT_EQ(gone.size(), 1U);
  EXPECT_EQ(text_of(gone[0], "reason"), "unreadable");
}

TEST_F(application_keys, that_cannot_be_read_at_present_are_not_gone) {
  save(keyed(1));
  failing_offer failing{offer};
  open(failing);
  for (const auto passing : {errc::store_unavailable, errc::store_full, errc::internal}) {
    failing.fault.reset();
    const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
    ASSERT_TRUE(got);
    ASSERT_EQ(lines_of(*got->parts).size(), 2U);
    failing.fault = passing;
    changes.changed(device(1));
    const auto part = got->parts->next();
    ASSERT_FALSE(part) << *part;
    EXPECT_EQ(part.error(), passing);
  }
}

TEST_F(application_keys, of_other_devices_are_not_in_a_watch_with_entities) {
  const auto got = ask("/v1/keys/coap", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  ASSERT_EQ(lines_of(*got->parts).size(), 1U);
  save(keyed(2));
  const auto lines = lines_of(*got->parts);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(event_of(lines[0]), "progress");
  save(keyed(1));
  EXPECT_EQ(event_of(lines_of(*got->parts).at(0)), "put");
}

}  // namespace
}  // namespace cpns::application_key_tests
