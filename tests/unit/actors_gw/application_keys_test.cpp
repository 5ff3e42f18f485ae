// Application keys of a gateway: which of its EUKeys programs get, who gets them, and the answers of the key socket.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <set>

#include "actors/application_keys/gateway_offer.hpp"
#include "actors/application_keys/key_routes.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/application_identity.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::application_key_tests {
namespace {

using namespace actors;
namespace json = boost::json;
using testing::HasSubstr;

constexpr uid_t broker = 4711, other_user = 4712;
constexpr gid_t readers = 815;

entity_id device(int number) {
  return entity_id::parse("urn:dev:os:32473-" + std::to_string(number)).value();
}

secret32 key_of(int number, int index) {
  secret32 out;
  out.expose_mutable()[0] = static_cast<std::uint8_t>(number);
  out.expose_mutable()[1] = static_cast<std::uint8_t>(number >> 8);
  out.expose_mutable()[2] = static_cast<std::uint8_t>(index);
  return out;
}

/// Indexes 0 and 1 are unconfirmed, 2 is its own, 3 handed out, 4 unused.
protocol::device_record keyed(int number) {
  using enum protocol::key_use;
  protocol::device_record r;
  r.entity = device(number);
  r.user = user_id::parse("alice@example.org").value();
  r.keyed_since = 1'790'000'000'000;
  for (const auto& [index, use] : {std::pair{1, handed_out}, {2, own}, {3, handed_out}, {4, unused}})
    r.keys.push_back({epoch{3, static_cast<std::uint16_t>(index)}, {}, key_of(number, index), use});
  return r;
}

purpose purpose_named(const std::string& name, config::identity_form form, std::size_t bytes = 32) {
  return {name, bytes, form, {broker}, {readers}, {}};
}

std::string text_of(const json::value& o, std::string_view member) {
  return std::string{o.at(member).as_string().c_str()};
}

struct application_keys : testing::Test {
  storage::memory_store memory;
  test::seeded_entropy random{1};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> rows =
      storage::sealed_store::open(memory, *protector, random).value();
  gateway_offer offer{*rows};
  key_changes changes;
  config::application_keys_config settings;
  api::route_table routes;

  application_keys() {
    settings.purposes["mqtt"].allow.users = {"root"};
    settings.purposes["coap"] = {16, config::identity_form::opaque, {{"root"}, {}}, {"urn:dev:os:32473-1*"}};
    open();
  }
  void open() {
    routes = {};
    auto known = std::make_shared<const purposes>(purposes::make(settings).value());
    routes.add(key_routes({"gateway", std::move(known), &offer, &changes, &crypto::openssl_suite()}));
  }
  void save(const protocol::device_record& r) {
    storage::sealed_batch b;
    b.push_back({storage::table::peers, to_bytes(as_bytes(r.entity.text())), protocol::encode(r)});
    auto outcome = status{};
    const auto done = announcing(changes, b, [&outcome](const status& s) { outcome = s; });
    done(rows->write(b));
    ASSERT_TRUE(outcome);
  }
  /// The lines of a watch until it has nothing more at present.
  static std::vector<json::value> lines_of(api::part_source& watch) {
    std::string text;
    for (auto part = watch.next(); part && !part->empty(); part = watch.next()) text += *part;
    std::vector<json::value> out;
    for (std::size_t at = 0; at < text.size();) {
      const auto end = text.find('\n', at);
      out.push_back(json::parse(text.substr(at, end - at)));
      at = end + 1;
    }
    return out;
  }
  api::outcome ask(const std::string& path, api::local_peer who = {.uid = 0}, api::text_map query = {}) {
    auto found = routes.find(api::verb::get, path);
    if (found.to == nullptr) return api::refuse(404, "no-such-path", path);
    api::request r;
    r.path = path;
    r.path_values = found.values;
    r.query = std::move(query);
    r.from.process = std::move(who);
    return found.to->handle(r);
  }
  /// The keys of an answer, which may come in parts.
  json::array keys(const std::string& path, std::size_t* parts = nullptr, std::int64_t unreadable = 0) {
    auto got = ask(path);
    if (!got) {
      ADD_FAILURE() << got.error().detail;
      return {};
    }
    auto text = got->body;
    for (; got->parts;) {
      const auto part = got->parts->next();
      if (!part) ADD_FAILURE() << part.error().message();
      if (!part || part->empty()) break;
      if (parts != nullptr) ++*parts;
      text += *part;
    }
    const auto all = json::parse(text);
    EXPECT_EQ(all.at("unreadable").as_int64(), unreadable);
    return all.at("keys").as_array();
  }
};

TEST_F(application_keys, are_offered_of_the_own_and_of_each_later_key_that_was_handed_out) {
  const auto o = offer_of(keyed(1));
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

TEST_F(application_keys, are_not_offered_of_a_device_that_is_not_served) {
  using enum protocol::device_standing;
  for (const auto standing : {held_elsewhere, quarantined, rejected, revoked}) {
    auto r = keyed(1);
    r.standing = standing;
    const auto o = offer_of(r);
    EXPECT_TRUE(o.keys.empty());
    EXPECT_FALSE(o.why_none.empty());
  }
  auto unused = keyed(1);
  for (auto& k : unused.keys) k.use = protocol::key_use::unused;
  EXPECT_TRUE(offer_of(unused).keys.empty());
}

TEST_F(application_keys, of_a_pne_are_those_of_both_slots_and_the_newest_is_in_use) {
  protocol::pne_record r;
  EXPECT_TRUE(offer_of(device(1), r).keys.empty());
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
  save(keyed(1));
  std::optional<storage::stored_row> first;
  ASSERT_TRUE(memory.scan(storage::table::peers, {}, [&first](const storage::stored_row& r) {
    first = r;
    return false;
  }));
  save(keyed(2));
  first->value.back() ^= 1;
  ASSERT_TRUE(memory.write_one({{storage::table::peers, first->row, first->version, first->value}}));
  EXPECT_EQ(keys("/v1/keys/mqtt", nullptr, 1).size(), 2U);
  const auto damaged = ask("/v1/keys/mqtt/urn:dev:os:32473-1");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, "store-sealed");
}

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
  EXPECT_EQ(text_of(gone[0], "reason"), "the device was rejected");
  EXPECT_EQ(text_of(gone[1], "reason"), "the device was forgotten");
  EXPECT_THAT(got->parts->heartbeat(), HasSubstr("\"event\":\"heartbeat\""));
}

TEST_F(application_keys, that_changed_without_success_wake_nobody) {
  storage::sealed_batch b;
  b.push_back({storage::table::peers, to_bytes(as_bytes(device(1).text())), std::nullopt});
  announcing(changes, b, [](const status&) {})(fail(errc::store_full));
  EXPECT_EQ(changes.newest(), 0U);
}

TEST_F(application_keys, are_sent_again_to_a_watcher_that_was_passed_by_the_changes) {
  save(keyed(1));
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}});
  ASSERT_TRUE(got);
  ASSERT_EQ(lines_of(*got->parts).size(), 2U);
  for (std::size_t i = 0; i <= key_changes::kept_max; ++i) changes.changed(device(1));
  const auto again = lines_of(*got->parts);
  ASSERT_EQ(again.size(), 3U);
  EXPECT_EQ(event_of(again[0]), "resync");
  EXPECT_EQ(event_of(again[1]), "put");
  EXPECT_EQ(event_of(again[2]), "synced");
  EXPECT_TRUE(lines_of(*got->parts).empty());
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

TEST_F(application_keys, are_refused_to_a_configuration_with_unknown_users) {
  settings.purposes["mqtt"].allow.users = {"no-such-user-here"};
  const auto made = purposes::make(settings);
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().detail, HasSubstr("no user 'no-such-user-here'"));
  EXPECT_THAT(made.error().detail, HasSubstr("application_keys.purposes.mqtt.allow.users"));
}

}  // namespace
}  // namespace cpns::application_key_tests
