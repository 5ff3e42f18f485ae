#include "cli/accounts.hpp"

#include <gtest/gtest.h>

#include <sstream>

#include "crypto/key_schedule.hpp"
#include "crypto/scram.hpp"
#include "storage/memory_store.hpp"
#include "temp_folder.hpp"

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

TEST_F(accounts, a_user_is_stored_as_what_verifies_the_password) {
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

TEST_F(accounts, a_user_is_added_once_and_changed_or_removed_only_if_there) {
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

TEST_F(accounts, an_import_keeps_the_derived_key_and_what_was_said_of_the_device) {
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

TEST_F(accounts, an_import_with_a_bad_row_writes_nothing) {
  const auto done = import_devices(*store, s, rows(row(1) + "headset,x,128bit,\n" + row(3)), {});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->imported, 0U);
  ASSERT_EQ(done->bad.size(), 1U);
  EXPECT_EQ(done->bad[0].line, 3U);
  EXPECT_EQ(devices(), 0U);
}

TEST_F(accounts, a_partial_import_keeps_the_good_rows) {
  const auto done =
      import_devices(*store, s, rows(row(1) + "headset,x,128bit,\n" + row(3)), {.partial = true});
  ASSERT_TRUE(done);
  EXPECT_EQ(done->imported, 2U);
  EXPECT_EQ(done->bad.size(), 1U);
  EXPECT_EQ(devices(), 2U);
}

TEST_F(accounts, an_import_refuses_constant_and_shared_keys_unless_it_is_told_otherwise) {
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
  const auto told = import_devices(*store, s, rows(row(1, zeros) + row(2, shared) + row(4, shared)),
                                   {.allow_constant = true, .allow_repeats = true});
  ASSERT_TRUE(told);
  EXPECT_EQ(told->imported, 3U);
}

TEST_F(accounts, an_import_tells_of_owners_that_are_not_users) {
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

TEST_F(accounts, a_device_that_is_there_already_is_reported_in_the_order_of_the_lines_or_replaced) {
  ASSERT_EQ(import_devices(*store, s, rows(row(2)), {.batch = "old"})->imported, 1U);
  const auto again =
      import_devices(*store, s, rows(row(1) + row(2) + "headset,x,128bit,\n"), {.batch = "new"});
  ASSERT_TRUE(again);
  ASSERT_EQ(again->bad.size(), 2U);
  EXPECT_EQ(again->bad[0].text, "the device is in the store already");
  EXPECT_EQ(again->bad[0].line, 3U);
  EXPECT_EQ(again->bad[1].line, 4U);
  EXPECT_EQ(devices(), 1U);
  const auto replaced = import_devices(*store, s, rows(row(1) + row(2)), {.replace = true, .batch = "new"});
  ASSERT_TRUE(replaced);
  EXPECT_EQ(replaced->imported, 2U);
  const auto all = list_devices(*store).value();
  for (const auto& d : all) EXPECT_EQ(d.batch, "new");
}

}  // namespace
}  // namespace cpns::cli
