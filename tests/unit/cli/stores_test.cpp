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
