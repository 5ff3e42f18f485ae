#include <gtest/gtest.h>

#include "server/server_meta.hpp"
#include "server/users.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_tests {
namespace {

using namespace testing_people;

struct rows {
  seeded_entropy random{3};
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(faulty, *protector, random).value();
  void put(storage::table t, std::string_view row, secret_bytes value) {
    storage::sealed_batch b;
    b.push_back({t, to_bytes(as_bytes(row)), std::move(value)});
    ASSERT_TRUE(sealed->write(b).has_value());
  }
  void add(const person& p) { put(storage::table::users, p.user.text(), encode(p.record)); }
};

TEST(user_directory, caches_the_latest_used_and_reads_the_others) {
  rows r;
  const person a{"a"}, b{"b"}, c{"c"};
  r.add(a);
  r.add(b);
  r.add(c);
  server::user_directory users{*r.sealed, suite(), secret32{}, 2};
  for (const auto* p : {&a, &b, &a, &c})
    EXPECT_EQ(users.find(p->user).value()->stored_key, p->record.stored_key);
  r.faulty.fail_reads(errc::store_unavailable);
  EXPECT_TRUE(users.find(a.user).has_value()) << "in memory";
  EXPECT_TRUE(users.find(c.user).has_value()) << "in memory";
  EXPECT_FALSE(users.find(b.user).has_value()) << "was evicted";
  users.reset(0);
  EXPECT_FALSE(users.find(a.user).has_value());
  r.faulty.repair();
  EXPECT_TRUE(users.find(a.user).has_value());
}

TEST(user_directory, a_failing_store_is_not_an_unknown_user) {
  rows r;
  server::user_directory users{*r.sealed, suite(), secret32{}, 2};
  const auto nobody = user_id::parse("nobody").value();
  EXPECT_FALSE(users.find(nobody).value().has_value());
  r.faulty.fail_reads(errc::store_unavailable);
  EXPECT_FALSE(users.find(nobody).has_value());
}

TEST(user_directory, reads_a_user_of_a_shared_store_again_after_a_second) {
  for (const bool shared : {true, false}) {
    seeded_entropy random{3};
    storage::memory_store memory{shared};
    const auto protector = test::key_file_protector(random);
    const auto sealed = storage::sealed_store::open(memory, *protector, random).value();
    std::chrono::steady_clock::time_point now{seconds{100}};
    server::user_directory users{*sealed, suite(), secret32{}, 2, [&now] { return now; }};
    const person a{"a"};
    const auto change = [&](std::optional<secret_bytes> value) {
      ASSERT_TRUE(
          sealed->write({{storage::table::users, to_bytes(as_bytes(a.user.text())), std::move(value)}}));
    };
    change(encode(a.record));
    ASSERT_TRUE(users.find(a.user).value());
    change(std::nullopt);
    now += server::user_directory::shared_for - milliseconds{1};
    EXPECT_TRUE(users.begin(a.user).record) << "in memory";
    now += milliseconds{1};
    EXPECT_EQ(users.find(a.user).value().has_value(), !shared) << "another server may have removed the user";
    EXPECT_EQ(users.cached(), shared ? 0U : 1U);
  }
}

TEST(user_directory, keeps_no_row_that_was_read_before_a_change) {
  rows r;
  person a{"a"};
  r.add(a);
  server::user_directory users{*r.sealed, suite(), secret32{}, 2};
  const auto began = users.begin(a.user);
  ASSERT_FALSE(began.record);
  const auto row = r.sealed->read_one(storage::table::users, as_bytes(a.user.text()));
  users.forget(a.user);
  EXPECT_TRUE(users.found(a.user, began, row).value()) << "what was read is the answer";
  EXPECT_EQ(users.cached(), 0U);
  EXPECT_TRUE(users.found(a.user, users.begin(a.user), row).value());
  EXPECT_TRUE(users.begin(a.user).record) << "in memory";
}

TEST(temporary_key_table, finds_what_was_imported) {
  rows r;
  const headset h{"urn:dev:os:32473-1"};
  server::temporary_key_table table;
  const auto find = [&] {
    return table.find(h.entity, r.sealed->read_one(storage::table::devices, as_bytes(h.entity.text())));
  };
  EXPECT_FALSE(find().value().has_value());
  r.put(storage::table::devices, h.entity.text(), encode(h.imported()));
  EXPECT_EQ(find().value()->temporary_key, h.temporary_key);
  r.put(storage::table::devices, h.entity.text(), secret_bytes::from_text("junk"));
  EXPECT_FALSE(find().has_value());
}

TEST(server_meta, is_drawn_once) {
  rows r;
  const auto first = server::load_meta(*r.sealed, r.random).value();
  const auto again = server::load_meta(*r.sealed, r.random).value();
  EXPECT_EQ(again.issuer_key, first.issuer_key);
  EXPECT_EQ(again.fake_salt_key, first.fake_salt_key);
  EXPECT_EQ(again.incarnation, 1u);
}

TEST(server_meta, is_not_drawn_again_when_it_cannot_be_read_or_stored) {
  rows r;
  r.faulty.fail_writes(errc::store_full);
  EXPECT_FALSE(server::load_meta(*r.sealed, r.random).has_value());
  r.faulty.repair();
  r.put(storage::table::meta, "cpns server", secret_bytes::from_text("junk"));
  EXPECT_FALSE(server::load_meta(*r.sealed, r.random).has_value());
}

}  // namespace
}  // namespace cpns::server_tests
