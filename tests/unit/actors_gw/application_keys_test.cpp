// Application keys of a gateway: which of its EUKeys programs get, who gets them, and the answers of the key socket.

#include "application_keys_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "actors/application_keys/gateway_offer.hpp"
#include "actors/application_keys/key_routes.hpp"
#include "actors/application_keys/pne_offer.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/application_identity.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::application_key_tests {
namespace {

purpose purpose_named(const std::string& name, config::identity_form form, std::size_t bytes = 32) {
  return {name, bytes, form, {broker}, {readers}, {}};
}

TEST_F(application_keys, are_offered_of_the_own_and_of_each_later_key_that_was_handed_out) {
  const auto o = offer_of(keyed(1), next_max);
  ASSERT_EQ(o.keys.size(), 2U);
  EXPECT_EQ(o.keys[0].which, (epoch{3, 2}));
  EXPECT_EQ(o.keys[0].state, "current");
  EXPECT_TRUE(o.keys[0].use);
  EXPECT_EQ(o.keys[0].since, 1'790'000'000'000);
  EXPECT_EQ(o.keys[1].which, (epoch{3, 3}));
  EXPECT_EQ(o.keys[1].state, "next");
  EXPECT_FALSE(o.keys[1].use);
  EXPECT_EQ(o.keys[1].since, 0);
}

TEST_F(application_keys, that_were_handed_out_are_offered_in_a_bounded_number_the_newest_ones) {
  using enum protocol::key_use;
  auto r = keyed(1);
  r.keys.resize(3);  // 2 is its own
  for (std::uint16_t index = 3; index < 103; ++index)
    r.keys.push_back({epoch{3, index}, {}, key_of(1, index), handed_out});
  const auto o = offer_of(r, 5);
  ASSERT_EQ(o.keys.size(), 6U);
  EXPECT_EQ(o.keys.front().which, (epoch{3, 2}));
  EXPECT_EQ(o.keys.front().state, "current");
  EXPECT_EQ(o.keys[1].which, (epoch{3, 98}));
  EXPECT_EQ(o.keys.back().which, (epoch{3, 102}));
  ASSERT_EQ(offer_of(r, 0).keys.size(), 2U) << "a delivery that runs is always offered";
  EXPECT_EQ(offer_of(r, 0).keys.back().which, (epoch{3, 102}));
}

TEST_F(application_keys, are_not_offered_of_a_device_that_is_not_served) {
  using enum protocol::device_standing;
  using reason = gone_reason;
  for (const auto& [standing, why] : {std::pair{held_elsewhere, reason::moved},
                                      {quarantined, reason::quarantined},
                                      {rejected, reason::rejected},
                                      {revoked, reason::revoked}}) {
    auto r = keyed(1);
    r.standing = standing;
    r.sessions_from = epoch{3, 9};
    const auto o = offer_of(r, next_max);
    EXPECT_TRUE(o.keys.empty());
    EXPECT_EQ(o.why_none, why);
  }
  auto unused = keyed(1);
  for (auto& k : unused.keys) k.use = protocol::key_use::unused;
  EXPECT_TRUE(offer_of(unused, next_max).keys.empty());
  EXPECT_EQ(offer_of(unused, next_max).why_none, gone_reason::none);
}

TEST_F(application_keys, handed_out_without_a_proof_are_offered_while_the_exchange_runs) {
  using enum protocol::key_use;
  auto r = keyed(1);
  r.keys[2].use = unproven;
  ASSERT_EQ(offer_of(r, next_max).keys.size(), 2U);
  EXPECT_EQ(offer_of(r, next_max).keys[1].state, "next");
  r.keys[2].use = lapsed;
  ASSERT_EQ(offer_of(r, next_max).keys.size(), 1U);
  EXPECT_EQ(offer_of(r, next_max).keys[0].state, "current");
  r.keys[0].use = r.keys[1].use = lapsed;  // of a device that never confirmed one
  EXPECT_TRUE(offer_of(r, next_max).keys.empty());
  EXPECT_EQ(offer_of(r, next_max).why_none, gone_reason::none);
}

TEST_F(application_keys, that_a_reset_took_away_are_not_offered_and_the_new_one_is) {
  auto r = keyed(1);
  r.sessions_from = epoch{3, 4};
  EXPECT_TRUE(offer_of(r, next_max).keys.empty());
  EXPECT_EQ(offer_of(r, next_max).why_none, gone_reason::reset);
  EXPECT_EQ(offer_of(r, next_max).sessions_from, (epoch{3, 4}));
  r.keys[3].use = protocol::key_use::unproven;
  const auto o = offer_of(r, next_max);
  ASSERT_EQ(o.keys.size(), 1U);
  EXPECT_EQ(o.keys[0].state, "next");
  EXPECT_EQ(o.keys[0].which, (epoch{3, 4}));
}

TEST_F(application_keys, of_a_pne_are_those_of_both_slots_and_the_newest_is_in_use) {
  protocol::pne_record r;
  EXPECT_TRUE(offer_of(device(1), r).keys.empty());
  EXPECT_EQ(offer_of(device(1), r).why_none, gone_reason::none);
  r.resets = 1;
  EXPECT_EQ(offer_of(device(1), r).why_none, gone_reason::reset);
  r.current = protocol::stored_key{epoch{1, 4}, key_of(1, 4), {}, 0};
  auto o = offer_of(device(1), r);
  ASSERT_EQ(o.keys.size(), 1U);
  EXPECT_TRUE(o.keys[0].use);
  r.pending = protocol::stored_key{epoch{1, 5}, key_of(1, 5), {}, 0};
  o = offer_of(device(1), r);
  ASSERT_EQ(o.keys.size(), 2U);
  EXPECT_EQ(o.keys[0].state, "current");
  EXPECT_FALSE(o.keys[0].use);
  EXPECT_EQ(o.keys[1].state, "pending");
  EXPECT_EQ(o.keys[1].which, (epoch{1, 5}));
  EXPECT_TRUE(o.keys[1].use);
}

TEST_F(application_keys, of_a_pne_whose_key_file_cannot_be_opened_are_unreadable_and_not_missing) {
  const test::temporary_folder folder;
  auto good = storage::sealed_file::with_data_key(folder.path() / "1", "test", key_of(1, 1), random);
  protocol::pne_record r;
  r.current = protocol::stored_key{epoch{1, 4}, key_of(1, 4), {}, 0};
  ASSERT_TRUE(good.save(encode(r).expose()));
  const auto none = storage::sealed_file::with_data_key(folder.path() / "2", "test", key_of(1, 1), random);
  const auto foreign = storage::sealed_file::with_data_key(folder.path() / "1", "test", key_of(2, 1), random);
  const pne_offer pnes{
      {{device(1), good}, {device(2), none}, {device(3), std::nullopt, true}, {device(4), foreign}}, nullptr};
  EXPECT_EQ(pnes.find(device(1)).value()->keys.size(), 1U);
  EXPECT_EQ(pnes.find(device(2)).value()->why_none, gone_reason::none);
  for (const int n : {3, 4}) {
    const auto found = pnes.find(device(n));
    ASSERT_FALSE(found);
    EXPECT_TRUE(is_unreadable(found.error())) << found.error().message();
  }
  std::size_t visited = 0;
  const auto page = pnes.read_page({}, [&visited](const offered_device&) { ++visited; });
  ASSERT_TRUE(page);
  EXPECT_EQ(visited, 2U);
  EXPECT_EQ(page->unreadable, 2U);
}

TEST_F(application_keys, are_for_processes_that_are_named_alone) {
  const auto p = purpose_named("mqtt", config::identity_form::readable);
  EXPECT_TRUE(p.allows({.uid = broker, .gid = 1}));
  EXPECT_TRUE(p.allows({.uid = other_user, .gid = readers}));
  EXPECT_TRUE(p.allows({.uid = other_user, .gid = 1, .groups = {5, readers}}));
  EXPECT_FALSE(p.allows({.uid = other_user, .gid = 1, .groups = {5}}));
  EXPECT_FALSE(p.allows({.uid = 0, .gid = 0})) << "root is not named";
  EXPECT_FALSE(p.allows({.uid = ::geteuid() + 1, .gid = 1}));
}

TEST_F(application_keys, name_the_setting_when_they_refuse) {
  save(keyed(1));
  for (const auto* path : {"/v1/keys/mqtt", "/v1/keys/mqtt/urn:dev:os:32473-1", "/v1/identities/mqtt/x",
                           "/v1/fingerprints/mqtt/urn:dev:os:32473-1"}) {
    const auto got = ask(path, {.uid = other_user, .gid = 1});
    ASSERT_FALSE(got) << path;
    EXPECT_EQ(got.error().status, 403U);
    EXPECT_EQ(got.error().code, "keys-not-allowed");
    EXPECT_EQ(got.error().field, "application_keys.purposes.mqtt.allow");
    EXPECT_THAT(got.error().detail, HasSubstr("uid 4712"));
    EXPECT_THAT(got.error().detail, HasSubstr("application_keys.purposes.mqtt.allow"));
  }
  const auto other = ask("/v1/keys/coap/urn:dev:os:32473-2");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, "device-not-allowed");
  EXPECT_EQ(other.error().field, "application_keys.purposes.coap.entities");
  EXPECT_EQ(ask("/v1/keys/amqp").error().code, "no-such-purpose");
  EXPECT_EQ(ask("/v1/keys/mqtt/x").error().code, "wire-grammar");
  EXPECT_EQ(ask("/v1/keys/mqtt/urn:dev:os:32473-9").error().code, "no-key-yet");
  EXPECT_EQ(ask("/v1/keys").error().code, "no-such-path");
}

TEST_F(application_keys, of_a_device_are_derived_from_its_eukeys) {
  save(keyed(1));
  const auto all = keys("/v1/keys/mqtt/urn:dev:os:32473-1");
  ASSERT_EQ(all.size(), 2U);
  const crypto::application_name name{"mqtt", device(1), epoch{3, 2}};
  const auto& s = crypto::openssl_suite();
  EXPECT_EQ(text_of(all[0], "key"),
            to_hex(crypto::derive_application_key(s, key_of(1, 2), name, 32).expose()));
  EXPECT_EQ(text_of(all[0], "fingerprint"),
            to_hex(crypto::derive_application_fingerprint(s, key_of(1, 2), name, 32)));
  EXPECT_EQ(text_of(all[0], "identity"), "dev.os.32473-1/3.2/mqtt");
  EXPECT_EQ(text_of(all[0], "epoch"), "3.2");
  EXPECT_EQ(text_of(all[0], "since"), "2026-09-21T14:13:20.000Z");
  EXPECT_TRUE(all[0].at("use").as_bool());
  EXPECT_EQ(text_of(all[1], "state"), "next");
  EXPECT_FALSE(all[1].as_object().contains("since"));
  const auto of_coap = keys("/v1/keys/coap/urn:dev:os:32473-1");
  EXPECT_EQ(text_of(of_coap[0], "key").size(), 32U);
  EXPECT_EQ(text_of(of_coap[0], "identity").size(), 22U);
}

TEST_F(application_keys, have_fingerprints_that_come_without_the_key) {
  save(keyed(1));
  const auto all = keys("/v1/fingerprints/mqtt/urn:dev:os:32473-1");
  ASSERT_EQ(all.size(), 2U);
  EXPECT_FALSE(all[0].as_object().contains("key"));
  EXPECT_EQ(text_of(all[0], "fingerprint"),
            text_of(keys("/v1/keys/mqtt/urn:dev:os:32473-1")[0], "fingerprint"));
}

TEST_F(application_keys, are_found_by_their_identity) {
  for (int n = 1; n <= 40; ++n) save(keyed(n));
  const auto by_name = keys("/v1/identities/mqtt/dev.os.32473-17%2F3.3%2Fmqtt");
  ASSERT_EQ(by_name.size(), 1U);
  EXPECT_EQ(text_of(by_name[0], "epoch"), "3.3");
  const auto opaque = text_of(keys("/v1/keys/coap/urn:dev:os:32473-17")[1], "identity");
  const auto searched = keys("/v1/identities/coap/" + opaque);
  ASSERT_EQ(searched.size(), 1U);
  EXPECT_EQ(text_of(searched[0], "entity"), "urn:dev:os:32473-17");
  EXPECT_EQ(text_of(searched[0], "epoch"), "3.3");
  for (const auto* none : {"/v1/identities/mqtt/dev.os.32473-17%2F3.4%2Fmqtt",  // unused
                           "/v1/identities/mqtt/dev.os.32473-17%2F3.1%2Fmqtt",  // below the own one
                           "/v1/identities/mqtt/dev.os.32473-17%2F3.3%2Fcoap",  // of another purpose
                           "/v1/identities/coap/dev.os.32473-17%2F3.3%2Fcoap",  // opaque there
                           "/v1/identities/mqtt/dev.os.32473-99%2F3.3%2Fmqtt", "/v1/identities/coap/x"})
    EXPECT_EQ(ask(none).error().code, "no-such-identity") << none;
}

TEST_F(application_keys, of_all_devices_come_in_parts_of_bounded_size) {
  constexpr int devices = 1000;
  for (int n = 1; n <= devices; ++n) save(keyed(n));
  std::size_t parts = 0;
  const auto all = keys("/v1/keys/mqtt", &parts);
  EXPECT_EQ(all.size(), 2U * devices);
  EXPECT_GT(parts, 3U);
  std::set<std::string> identities;
  for (const auto& k : all) identities.insert(text_of(k, "identity"));
  EXPECT_EQ(identities.size(), 2U * devices);
  auto got = ask("/v1/keys/mqtt");
  for (auto part = got->parts->next(); part && !part->empty(); part = got->parts->next())
    EXPECT_LT(part->size(), 1024U * 1024);
  const auto ones = keys("/v1/keys/coap");
  EXPECT_EQ(ones.size(), 2U * static_cast<std::size_t>(1 + 10 + 100 + 1)) << "1, 1x, 1xx, 1000";
}

TEST_F(application_keys, of_all_devices_may_be_none) {
  EXPECT_TRUE(keys("/v1/keys/mqtt").empty());
  auto r = keyed(1);
  r.keys.clear();
  save(r);
  EXPECT_TRUE(keys("/v1/keys/mqtt").empty());
  EXPECT_EQ(ask("/v1/keys/mqtt/urn:dev:os:32473-1").error().code, "no-key-yet");
}

TEST_F(application_keys, of_all_devices_count_the_rows_that_cannot_be_read) {
  save_two_of_which_the_first_is_damaged();
  EXPECT_EQ(keys("/v1/keys/mqtt", nullptr, 1).size(), 2U);
  const auto damaged = ask("/v1/keys/mqtt/urn:dev:os:32473-1");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, "store-sealed");
}

TEST_F(application_keys, are_searched_for_by_one_request_of_a_user_and_found_by_name_meanwhile) {
  settings.purposes["coap"].allow.groups = settings.purposes["mqtt"].allow.groups = {"root"};
  save(keyed(1));
  failing_offer slow{offer};
  open(slow);
  const auto opaque =
      "/v1/identities/coap/" + text_of(keys("/v1/keys/coap/urn:dev:os:32473-1")[0], "identity");
  int asked = 0;
  slow.reads = [&] {  // while a search runs
    if (asked++ > 0) return;
    const auto second = ask(opaque);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().status, 503U);
    EXPECT_EQ(second.error().code, "too-many-at-once");
    EXPECT_TRUE(second.error().retry_after);
    EXPECT_TRUE(ask("/v1/identities/mqtt/dev.os.32473-1%2F3.2%2Fmqtt"));
    EXPECT_TRUE(ask("/v1/identities/mqtt/dev.os.32473-1%2F3.3%2Fmqtt"));
    EXPECT_TRUE(ask(opaque, {.uid = other_user, .gid = 0})) << "another user has a search of its own";
    const auto refused = ask(opaque, {.uid = other_user, .gid = 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "keys-not-allowed");
  };
  EXPECT_TRUE(ask(opaque));
  EXPECT_EQ(asked, 2) << "pages: of this search and of the other user's";
  EXPECT_TRUE(ask(opaque)) << "the place was given back";
}

TEST_F(application_keys, are_asked_for_without_a_body) {
  for (const auto& r : routes.all()) {
    EXPECT_EQ(r.body_max, r.path == "/v1/keys/{purpose}/acks" ? 1024U : 0U) << r.path;
    EXPECT_EQ(r.at_once, 0U) << r.path << ": a place is taken after the purpose was asked";
  }
}

TEST_F(application_keys, are_refused_to_a_configuration_with_unknown_users) {
  settings.purposes["mqtt"].allow.users = {"no-such-user-here"};
  const auto made = purposes::make(settings);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().detail, HasSubstr("no user 'no-such-user-here'"));
  EXPECT_THAT(made.error().detail, HasSubstr("application_keys.purposes.mqtt.allow.users"));
}

TEST_F(application_keys, are_not_for_the_user_of_all_foreign_users) {
  if (::getpwnam("nobody") == nullptr || ::getpwnam("nobody")->pw_uid != 65534)
    GTEST_SKIP() << "another system";
  settings.purposes["mqtt"].allow.users = {"nobody"};
  const auto of_users = purposes::make(settings);
  ASSERT_FALSE(of_users);
  EXPECT_EQ(of_users.error(), errc::config_range);
  EXPECT_THAT(of_users.error().detail,
              HasSubstr("name another user in application_keys.purposes.mqtt.allow.users"));
  settings.purposes["mqtt"].allow = {{}, {"nogroup"}};
  const auto of_groups = purposes::make(settings);
  ASSERT_FALSE(of_groups);
  EXPECT_THAT(of_groups.error().detail,
              HasSubstr("name another group in application_keys.purposes.mqtt.allow.groups"));
}

}  // namespace
}  // namespace cpns::application_key_tests
