// The application keys before the current ones, which programs accept for a while.

#include "actors/application_keys/previous_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "application_keys_fixture.hpp"

namespace cpns::application_key_tests {
namespace {

std::vector<entity_id> devices_of(const key_changes::batch& b) {
  std::vector<entity_id> out;
  for (const auto& c : b.changes) out.push_back(c.device);
  return out;
}

using namespace std::chrono_literals;

epoch of_set(int index) { return {3, static_cast<std::uint16_t>(index)}; }

/// Device `number`, whose own key is 3.`own`, and which has no others.
protocol::device_record with_own(int number, int own) {
  auto r = keyed(number);
  r.keys = {{of_set(own), {}, key_of(number, own), protocol::key_use::own}};
  return r;
}

struct previous_application_keys : application_keys {
  std::atomic<std::int64_t> time{1'790'000'000'000};
  std::unique_ptr<previous_keys> kept;
  std::unique_ptr<offer_with_previous> both;

  previous_application_keys() { begin(60s); }
  void begin(milliseconds overlap, previous_keys::bounds most = {}) {
    settings.overlap = overlap;
    both.reset();
    kept = std::make_unique<previous_keys>(
        settings, crypto::openssl_suite(), changes, [this] { return time_point{milliseconds{time.load()}}; },
        most);
    both = std::make_unique<offer_with_previous>(std::make_unique<gateway_offer>(*rows, next_max), *kept);
    open(*both);
  }
  void pass(milliseconds span) {
    time += span.count();
    kept->end_due();
  }
  /// Device `number` goes from its own key to the next one.
  void renew(int number, int from) {
    kept->keep(device(number), of_set(from), key_of(number, from), of_set(from + 1));
    save(with_own(number, from + 1));
  }
  /// "EPOCH STATE", in the order of the answer.
  std::vector<std::string> listed(int number, const std::string& purpose = "mqtt") {
    std::vector<std::string> out;
    for (const auto& k : keys("/v1/keys/" + purpose + "/" + device(number).text()))
      out.push_back(text_of(k, "epoch") + " " + text_of(k, "state"));
    return out;
  }
};

using testing::ElementsAre;

TEST_F(previous_application_keys, are_listed_as_they_were_and_not_for_use) {
  save(with_own(1, 2));
  const auto was = keys("/v1/keys/mqtt/urn:dev:os:32473-1")[0];
  renew(1, 2);
  const auto now = keys("/v1/keys/mqtt/urn:dev:os:32473-1");
  ASSERT_EQ(now.size(), 2U);
  for (const auto* member : {"entity", "epoch", "identity", "fingerprint", "key"})
    EXPECT_EQ(text_of(now[0], member), text_of(was, member)) << member;
  EXPECT_EQ(text_of(now[0], "state"), "previous");
  EXPECT_FALSE(now[0].at("use").as_bool());
  EXPECT_FALSE(now[0].as_object().contains("since"));
  EXPECT_EQ(text_of(now[1], "state"), "current");
  EXPECT_TRUE(now[1].at("use").as_bool());
  const auto prints = keys("/v1/fingerprints/mqtt/urn:dev:os:32473-1");
  EXPECT_EQ(text_of(prints[0], "fingerprint"), text_of(was, "fingerprint"));
  EXPECT_FALSE(prints[0].as_object().contains("key"));
  EXPECT_EQ(keys("/v1/keys/mqtt").size(), 2U);
}

TEST_F(previous_application_keys, are_found_by_their_identity) {
  save(with_own(1, 2));
  const auto opaque = text_of(keys("/v1/keys/coap/urn:dev:os:32473-1")[0], "identity");
  renew(1, 2);
  for (const auto& path :
       {std::string{"/v1/identities/mqtt/dev.os.32473-1%2F3.2%2Fmqtt"}, "/v1/identities/coap/" + opaque}) {
    const auto found = keys(path);
    ASSERT_EQ(found.size(), 1U) << path;
    EXPECT_EQ(text_of(found[0], "epoch"), "3.2");
    EXPECT_EQ(text_of(found[0], "state"), "previous");
  }
}

TEST_F(previous_application_keys, end_after_the_overlap_and_a_watch_is_told) {
  renew(1, 2);
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  auto lines = lines_of(*got->parts);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].at("keys").as_array().size(), 2U);
  pass(30s);
  renew(2, 7);
  lines_of(*got->parts);
  pass(30s - 1ms);
  EXPECT_TRUE(lines_of(*got->parts).empty());
  pass(1ms);
  lines = lines_of(*got->parts);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(text_of(lines[0], "event"), "put");
  EXPECT_EQ(text_of(lines[0], "entity"), device(1).text());
  ASSERT_EQ(lines[0].at("keys").as_array().size(), 1U);
  EXPECT_THAT(listed(2), ElementsAre("3.7 previous", "3.8 current"));
  pass(30s);
  EXPECT_THAT(listed(2), ElementsAre("3.8 current"));
}

TEST_F(previous_application_keys, end_by_themselves) {
  settings.overlap = 20ms;
  both.reset();
  kept = std::make_unique<previous_keys>(settings, crypto::openssl_suite(), changes);
  std::promise<void> first, second;
  std::atomic<int> calls{0};
  const auto ticket = changes.listen([&] { (++calls == 1 ? first : second).set_value(); });
  kept->keep(device(1), of_set(2), key_of(1, 2), of_set(3));
  ASSERT_EQ(first.get_future().wait_for(60s), std::future_status::ready);
  EXPECT_TRUE(kept->before(device(1), of_set(3)).empty());
  kept->keep(device(2), of_set(2), key_of(2, 2), of_set(3));  // the thread sleeps until there is one
  ASSERT_EQ(second.get_future().wait_for(60s), std::future_status::ready);
  EXPECT_THAT(devices_of(changes.after(0, 9)), ElementsAre(device(1), device(2)));
}

TEST_F(previous_application_keys, are_not_listed_before_their_successor_is_current) {
  save(with_own(1, 2));
  kept->keep(device(1), of_set(2), key_of(1, 2), of_set(3));  // the write is under way, or it failed
  EXPECT_THAT(listed(1), ElementsAre("3.2 current"));
  pass(40s);
  renew(1, 2);  // the same again: its time begins again
  pass(40s);
  EXPECT_THAT(listed(1), ElementsAre("3.2 previous", "3.3 current"));
  pass(20s);
  EXPECT_THAT(listed(1), ElementsAre("3.3 current"));
}

TEST_F(previous_application_keys, are_not_listed_after_a_gap) {
  renew(1, 2);
  save(with_own(1, 5));  // after an amnesia, say
  EXPECT_THAT(listed(1), ElementsAre("3.5 current"));
  renew(1, 5);
  EXPECT_THAT(listed(1), ElementsAre("3.5 previous", "3.6 current"));
  auto rejected = with_own(1, 6);
  rejected.standing = protocol::device_standing::rejected;
  save(rejected);
  EXPECT_EQ(ask("/v1/keys/mqtt/urn:dev:os:32473-1").error().code, "no-key-yet");
  save(with_own(1, 6));
  kept->forget(device(1));
  EXPECT_THAT(listed(1), ElementsAre("3.6 current"));
}

TEST_F(previous_application_keys, are_not_listed_below_the_first_session_that_goes_on) {
  renew(1, 2);
  renew(1, 3);
  auto r = with_own(1, 4);
  r.sessions_from = of_set(3);
  save(r);
  EXPECT_THAT(listed(1), ElementsAre("3.3 previous", "3.4 current"));
  r.sessions_from = of_set(4);
  save(r);
  EXPECT_THAT(listed(1), ElementsAre("3.4 current"));
}

TEST_F(previous_application_keys, are_the_newest_few_of_a_device) {
  for (int own = 1; own <= 20; ++own) renew(1, own);
  EXPECT_THAT(listed(1), ElementsAre("3.17 previous", "3.18 previous", "3.19 previous", "3.20 previous",
                                     "3.21 current"));
}

TEST_F(previous_application_keys, are_bounded_in_total_and_watchers_learn_of_the_oldest_that_goes) {
  begin(60s, {.derived = 6});  // device 1 and 10 to 19 have a key of each of the two purposes
  renew(2, 1);
  renew(1, 1);
  renew(3, 1);
  renew(4, 1);
  renew(5, 1);
  EXPECT_THAT(listed(2), ElementsAre("3.1 previous", "3.2 current"));
  const auto before = changes.newest();
  renew(10, 1);
  EXPECT_THAT(listed(2), ElementsAre("3.2 current"));
  EXPECT_THAT(listed(1), ElementsAre("3.2 current"));
  EXPECT_THAT(listed(3), ElementsAre("3.1 previous", "3.2 current"));
  EXPECT_THAT(listed(10, "coap"), ElementsAre("3.1 previous", "3.2 current"));
  EXPECT_THAT(devices_of(changes.after(before, 9)),
              testing::UnorderedElementsAre(device(2), device(1), device(10)));
}

TEST_F(previous_application_keys, are_none_without_an_overlap_and_without_a_purpose_for_the_device) {
  begin(0s);
  renew(1, 2);
  EXPECT_THAT(listed(1), ElementsAre("3.3 current"));
  settings.purposes.erase("mqtt");
  begin(60s);
  renew(2, 2);
  EXPECT_TRUE(kept->before(device(2), of_set(3)).empty());
}

TEST_F(previous_application_keys, are_kept_read_and_ended_by_several_threads) {
  begin(50ms);
  std::atomic<bool> over{false};
  std::thread reader{[&] {
    while (!over) (void)kept->before(device(1), of_set(3));
  }};
  std::thread clock{[&] {
    while (!over) pass(1ms);
  }};
  std::thread other{[&] {
    for (int i = 0; i < 2000; ++i) kept->keep(device(2), of_set(i), key_of(2, i), of_set(i + 1));
  }};
  for (int i = 0; i < 2000; ++i) kept->keep(device(1), of_set(i), key_of(1, i), of_set(i + 1));
  other.join();
  over = true;
  reader.join();
  clock.join();
  pass(50ms);
  EXPECT_TRUE(kept->before(device(1), of_set(2000)).empty());
}

}  // namespace
}  // namespace cpns::application_key_tests
