// Faults of a store: each kind is found, counted in its table, and named without a user or a device.

#include <gtest/gtest.h>

#include "server/index_rows.hpp"
#include "server/store_admin.hpp"
#include "server/store_check.hpp"
#include "tests/support/sealed_memory.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::server_tests {
namespace {

using namespace testing_people;
using storage::table;

struct checked_store : test::sealed_memory {
  std::vector<server::row_fault> faults;
  const user_id alice = user_id::parse("alice").value();
  const gateway_id hall_gw = gateway_named("urn:cpns:gw:hall");

  checked_store() : sealed_memory(8) {
    const person who{"alice", "correct horse"};
    put(table::users, "alice", encode(who.record));
    for (int i = 0; i < 600; ++i) add(i);
    EXPECT_TRUE(store->write({server::index_complete_op()}));
  }
  static entity_id device(int i) { return entity_id::parse("urn:dev:os:1-" + std::to_string(i)).value(); }
  void add(int i) {
    device_secret_record d;
    d.entity = device(i);
    d.batch = "lot1";
    EXPECT_TRUE(server::add_device(*store, server::write_to(*store), d));
    entity_record r;
    r.entity = d.entity;
    r.owner = alice;
    r.holder = hall_gw;
    storage::sealed_batch b;
    b.push_back({table::entities, to_bytes(as_bytes(r.entity.text())), encode(r)});
    server::add_index_rows(b, r);
    EXPECT_TRUE(store->write(b));
  }
  server::store_findings check() {
    faults.clear();
    auto found = server::check_rows(
        *store, server::decode_server_row, [this](const server::row_fault& f) { faults.push_back(f); },
        [](std::uint64_t) {});
    EXPECT_TRUE(found) << found.error().message();
    if (!found) return {};
    EXPECT_EQ(found->faults(), faults.size());
    for (const auto& f : faults) {
      EXPECT_EQ(f.what.find("alice"), std::string::npos) << f.what;
      EXPECT_EQ(f.what.find("urn:dev"), std::string::npos) << f.what;
    }
    return *std::move(found);
  }
};

TEST(store_check, finds_no_fault_in_a_good_store_and_counts_its_rows) {
  checked_store p;
  const auto found = p.check();
  EXPECT_EQ(found.faults(), 0U);
  EXPECT_EQ(found.stale, 0U);
  EXPECT_TRUE(found.index_complete);
  EXPECT_EQ(found.tables.at(table::devices).rows, 600U);
  EXPECT_EQ(found.tables.at(table::entities).rows, 600U);
  EXPECT_EQ(found.tables.at(table::indexes).rows, 1800U);
  EXPECT_EQ(found.rows(), 600U * 5 + 2) << "one user, and the row that says that the lists are complete";
}

TEST(store_check, finds_a_changed_seal_in_each_table) {
  checked_store p;
  for (const auto t : {table::users, table::devices, table::entities, table::indexes}) {
    const auto row = p.memory.slice(t, {}, 1).value().front();
    auto bad = row.value;
    bad[bad.size() / 2] ^= 1;
    p.memory.put_back(t, row.row, storage::stored_value{row.version, bad});
    const auto found = p.check();
    EXPECT_EQ(found.tables.at(t).faults, 1U) << name_of(t);
    ASSERT_EQ(p.faults.size(), 1U) << name_of(t);
    EXPECT_NE(p.faults[0].what.find(to_hex(byte_view(row.row).first(8))), std::string::npos);
    p.memory.put_back(t, row.row, storage::stored_value{row.version, row.value});
  }
}

TEST(store_check, finds_a_record_that_cannot_be_decoded_or_is_of_another_name) {
  checked_store p;
  p.put(table::entities, "urn:dev:os:1-5", secret_bytes::from_text("junk"));
  const person bob{"bob", "another horse"};
  p.put(table::users, "carol", encode(bob.record));
  const auto found = p.check();
  EXPECT_EQ(found.tables.at(table::entities).faults, 1U);
  EXPECT_EQ(found.tables.at(table::users).faults, 1U);
  EXPECT_EQ(found.faults(), 2U);
  EXPECT_EQ(found.stale, 2U) << "the index rows of the entity without a record";
}

TEST(store_check, finds_a_row_whose_index_row_is_gone_once_they_are_complete) {
  checked_store p;
  const auto row = p.memory.slice(table::indexes, {}, 1).value().front();
  p.memory.put_back(table::indexes, row.row, std::nullopt);
  EXPECT_EQ(p.check().faults(), 1U);
  ASSERT_EQ(p.faults.size(), 1U);
  EXPECT_NE(p.faults[0].what.find("its index row is gone"), std::string::npos);
  ASSERT_TRUE(p.store->write({{table::meta, server::index_complete_op().row, std::nullopt}}));
  EXPECT_EQ(p.check().faults(), 0U) << "the server still has to write it";
}

TEST(store_check, counts_stale_index_rows_without_a_fault) {
  checked_store p;
  EXPECT_TRUE(server::block_device(*p.store, server::write_to(*p.store), checked_store::device(3)));
  EXPECT_TRUE(server::remove_device(*p.store, server::write_to(*p.store), checked_store::device(4)));
  auto held = server::held_entities(*p.store, p.hall_gw).value();
  held.resize(10);
  EXPECT_TRUE(server::release_entities(*p.store, held));
  const auto found = p.check();
  EXPECT_EQ(found.faults(), 0U);
  EXPECT_EQ(found.stale, 12U);
}

}  // namespace
}  // namespace cpns::server_tests
