// Users, devices and holders in a server's store, and a store under a passphrase.
#include "cli/stores.hpp"

#include <gtest/gtest.h>

#include "crypto/key_schedule.hpp"
#include "crypto/scram.hpp"
#include "storage/memory_store.hpp"
#include "temp_folder.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::cli {
namespace {

class accounts : public test::temp_folder {
 protected:
  void SetUp() override {
    temp_folder::SetUp();
    ASSERT_TRUE(storage::create_key_file(folder / "kek", random));
    protector = storage::open_key_file(folder / "kek").value();
    store = storage::sealed_store::open(under, *protector, random).value();
  }
  protocol::user_record user(const std::string& name, const std::string& password) {
    return make_user(s, random, user_id::parse(name).value(), secret_bytes::from_text(password),
                     time_point(seconds(1000)));
  }
  static device_rows rows(const std::string& text) {
    std::string left = "entity_id,temporary_key,strength,owner\n" + text;
    return read_device_rows(
               [&left](std::span<std::uint8_t> to) -> result<std::size_t> {
                 const auto n = left.copy(reinterpret_cast<char*>(to.data()), to.size());
                 left.erase(0, n);
                 return n;
               },
               "d.csv")
        .value();
  }
  static std::string row(int n, const std::string& text = {}) {
    return "urn:dev:mac:000000000000000" + std::to_string(n) + "," +
           (text.empty() ? "8f14e45fceea167a5a36dedd4bea254" + std::to_string(n) : text) + ",128bit,alice\n";
  }
  std::size_t devices() { return list_devices(*store).value().size(); }

  const crypto::suite& s = crypto::openssl_suite();
  entropy& random = crypto::system_entropy();
  storage::memory_store under;
  std::unique_ptr<storage::key_protector> protector;
  std::unique_ptr<storage::sealed_store> store;
};

TEST_F(accounts, stores_a_verifier_of_the_password_for_each_user) {
  ASSERT_TRUE(add_user(*store, user("bob", "correct horse")));
  ASSERT_TRUE(add_user(*store, user("alice", "battery staple")));
  const auto all = list_users(*store).value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].user.text(), "alice");
  EXPECT_EQ(all[1].user.text(), "bob");
  EXPECT_EQ(all[1].created, 1000);
  EXPECT_EQ(all[1].iterations, crypto::scram_iterations_default);
  const auto client = crypto::scram_client_key(s, as_bytes("correct horse"), all[1].salt, all[1].iterations);
  EXPECT_EQ(crypto::scram_stored_key(s, client), all[1].stored_key);
  EXPECT_NE(all[0].salt, all[1].salt);
}

TEST_F(accounts, adds_a_user_once_and_changes_or_removes_only_an_existing_one) {
  ASSERT_TRUE(add_user(*store, user("bob", "correct horse")));
  EXPECT_EQ(add_user(*store, user("bob", "another one")).error().code, errc::state_exists);
  auto later = user("bob", "new password");
  later.created = 2000;
  ASSERT_TRUE(change_user(*store, later));
  const auto kept = list_users(*store).value().at(0);
  EXPECT_EQ(kept.stored_key, later.stored_key);
  EXPECT_EQ(kept.created, 1000);
  EXPECT_EQ(change_user(*store, user("eve", "new password")).error().code, errc::state_unknown);
  ASSERT_TRUE(remove_user(*store, later.user));
  EXPECT_EQ(remove_user(*store, later.user).error().code, errc::state_unknown);
  EXPECT_TRUE(list_users(*store).value().empty());
}

TEST_F(accounts, imports_the_derived_key_and_the_fields_of_a_device) {
  const auto done = import_devices(*store, s, rows(row(1)), {.require_presence = false, .batch = "lot7"});
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->imported, 1U);
  const auto id = entity_id::parse("urn:dev:mac:0000000000000001").value();
  const auto found = find_device(*store, id).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->temporary_key,
            crypto::derive_temporary_key(s, id, *from_hex("8f14e45fceea167a5a36dedd4bea2541")));
  EXPECT_FALSE(found->stretched);
  EXPECT_FALSE(found->require_presence);
  EXPECT_EQ(found->owner->text(), "alice");
  EXPECT_EQ(found->batch, "lot7");
  EXPECT_FALSE(find_device(*store, entity_id::parse("urn:dev:mac:0000000000000002").value()).value());
}

TEST_F(accounts, imports_nothing_when_a_row_is_bad) {
  const auto done = import_devices(*store, s, rows(row(1) + "headset,x,128bit,\n" + row(3)), {});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->imported, 0U);
  ASSERT_EQ(done->bad.size(), 1U);
  EXPECT_EQ(done->bad[0].line, 3U);
  EXPECT_EQ(devices(), 0U);
}

TEST_F(accounts, imports_the_good_rows_when_partial) {
  const auto done =
      import_devices(*store, s, rows(row(1) + "headset,x,128bit,\n" + row(3)), {.partial = true});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->imported, 2U);
  EXPECT_EQ(done->bad.size(), 1U);
  EXPECT_EQ(devices(), 2U);
}

TEST_F(accounts, refuses_constant_and_shared_keys_unless_allowed) {
  const std::string zeros(32, '0'), shared = "8f14e45fceea167a5a36dedd4bea2543";
  const auto done = import_devices(
      *store, s, rows(row(1, zeros) + row(2, shared) + row(5) + row(4, "hex:" + shared)), {.partial = true});
  ASSERT_TRUE(done) << done.error().detail;
  EXPECT_EQ(done->imported, 1U);
  ASSERT_EQ(done->bad.size(), 3U);
  EXPECT_TRUE(done->bad[0].text.starts_with("the temporary key is a constant")) << done->bad[0].text;
  EXPECT_TRUE(done->bad[1].text.starts_with("the device in line 5 has the same temporary key"))
      << done->bad[1].text;
  EXPECT_TRUE(done->bad[2].text.starts_with("the device in line 3 has the same temporary key"))
      << done->bad[2].text;
  const auto allowed = import_devices(*store, s, rows(row(1, zeros) + row(2, shared) + row(4, shared)),
                                      {.allow_constant = true, .allow_repeats = true});
  ASSERT_TRUE(allowed);
  EXPECT_EQ(allowed->imported, 3U);
}

TEST_F(accounts, warns_of_owners_that_are_not_users) {
  ASSERT_TRUE(add_user(*store, user("alice", "correct horse")));
  auto text = row(1) + row(2);
  text.replace(text.rfind("alice"), 5, "alcie");
  const auto done = import_devices(*store, s, rows(text), {});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->imported, 2U);
  ASSERT_EQ(done->remarks.size(), 1U);
  EXPECT_EQ(done->remarks[0].line, 3U);
  EXPECT_TRUE(done->remarks[0].text.starts_with("warning: the owner alcie is not a user of this server"))
      << done->remarks[0].text;
}

TEST_F(accounts, reports_known_devices_in_the_order_of_lines_or_replaces_them) {
  ASSERT_EQ(import_devices(*store, s, rows(row(2)), {.batch = "old"})->imported, 1U);
  const auto again =
      import_devices(*store, s, rows(row(1) + row(2) + "headset,x,128bit,\n"), {.batch = "new"});
  ASSERT_TRUE(again);
  ASSERT_EQ(again->bad.size(), 2U);
  EXPECT_EQ(again->bad[0].text, "the device is already in the store; --replace gives it the new key");
  EXPECT_EQ(again->bad[0].line, 3U);
  EXPECT_EQ(again->bad[1].line, 4U);
  EXPECT_EQ(devices(), 1U);
  const auto replaced = import_devices(*store, s, rows(row(1) + row(2)), {.replace = true, .batch = "new"});
  ASSERT_TRUE(replaced);
  EXPECT_EQ(replaced->imported, 2U);
  const auto all = list_devices(*store).value();
  for (const auto& d : all) EXPECT_EQ(d.batch, "new");
}

TEST_F(accounts, are_protected_by_a_passphrase) {
  const auto file = write("pass", "correct horse\n");
  const config::protector_config by_pass{config::protector_kind::passphrase, file};
  const config::store_config memory{config::store_kind::memory, {}};
  EXPECT_TRUE(opened_store::open(memory, by_pass));
  const auto none = opened_store::open(memory, {config::protector_kind::passphrase, folder / "none"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, errc::store_key);
}

struct harness {
  test::seeded_entropy random{5};
  storage::memory_store memory;
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(memory, *protector, random).value();
  gateway_id gw = parse_gateway("urn:cpns:gw:gw1").value();

  entity_id add(int i, const std::optional<gateway_id>& holder) {
    protocol::entity_record e;
    e.entity = entity_id::parse("urn:dev:os:1-" + std::to_string(1000 + i)).value();
    e.owner = user_id::parse("alice").value();
    e.holder = holder;
    e.holder_uri = holder ? "urn:cpns:gw:gw1" : "";
    e.holder_since = e.holder_seen = holder ? 7 : 0;
    e.last_report = epoch{1, 2};
    EXPECT_TRUE(sealed->write({{storage::table::entities, to_bytes(as_bytes(e.entity.text())), encode(e)}}));
    return e.entity;
  }
};

TEST(entities, parses_a_gateway_by_its_uri_or_its_digits) {
  const auto gw =
      crypto::derive_gateway_id(crypto::openssl_suite(), crypto::gateway_kind::x509, "urn:cpns:gw:a");
  EXPECT_EQ(parse_gateway("urn:cpns:gw:a").value(), gw);
  EXPECT_EQ(parse_gateway(gw.hex()).value(), gw);
  for (const auto* bad : {"", "gw1", "0123", "zz0123456789abcdef0123456789abcd"}) {
    ASSERT_FALSE(parse_gateway(bad)) << bad;
    EXPECT_EQ(parse_gateway(bad).error().code, errc::config_usage);
  }
}

TEST(entities, finds_and_releases_those_of_one_gateway_and_changes_nothing_else) {
  harness p;
  const auto other = parse_gateway("urn:cpns:gw:other").value();
  for (int i = 0; i < 600; ++i) p.add(i, p.gw);
  const auto kept = p.add(700, other);
  p.add(701, std::nullopt);
  EXPECT_EQ(held_entities(*p.sealed, std::nullopt)->size(), 601u);
  auto held = held_entities(*p.sealed, p.gw).value();
  ASSERT_EQ(held.size(), 600u);
  EXPECT_LT(held[0].entity, held[1].entity);
  const auto one = held[0].entity;
  ASSERT_TRUE(release_entities(*p.sealed, std::move(held)));
  const auto left = held_entities(*p.sealed, std::nullopt).value();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].entity, kept);
  const auto after = find_entity(*p.sealed, one).value();
  ASSERT_TRUE(after.has_value());
  EXPECT_FALSE(after->holder.has_value());
  EXPECT_TRUE(after->holder_uri.empty());
  EXPECT_EQ(after->holder_since, 0);
  EXPECT_EQ(after->owner, user_id::parse("alice").value());
  EXPECT_EQ(after->last_report, (epoch{1, 2}));
}

TEST(entities, finds_no_entity_that_was_never_assigned) {
  harness p;
  EXPECT_FALSE(find_entity(*p.sealed, entity_id::parse("urn:dev:os:1-1").value()).value().has_value());
}

}  // namespace
}  // namespace cpns::cli
