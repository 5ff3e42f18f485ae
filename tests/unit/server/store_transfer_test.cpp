// The rows of a server's store go through a file into an empty store; an import that was stopped anywhere goes on.
#include <gtest/gtest.h>

#include "crypto/suite.hpp"
#include "server/batch_book.hpp"
#include "server/index_rows.hpp"
#include "server/node_row.hpp"
#include "server/store_check.hpp"
#include "server/store_transfer.hpp"
#include "server/unfinished_import.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

namespace cpns::server_tests {
namespace {

using storage::table;
using rows_of_table = std::map<std::pair<table, std::string>, secret_bytes>;

constexpr int devices = 1300;  // three chunks

/// A store with a key of its own.
struct place {
  explicit place(std::uint64_t seed, bool shared = false) : random(seed), memory(shared) {}
  test::seeded_entropy random;
  storage::memory_store memory;
  storage::faulty_store faulty{memory};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> store =
      storage::sealed_store::open(faulty, *protector, random).value();

  void put(table t, std::string_view row, secret_bytes value) {
    ASSERT_TRUE(store->write({{t, to_bytes(as_bytes(row)), std::move(value)}}));
  }
  [[nodiscard]] rows_of_table rows() const {
    rows_of_table out;
    for (const auto t : {table::users, table::devices, table::entities, table::gateways, table::batches})
      EXPECT_TRUE(store->scan(t, {}, [&](byte_view row, const secret_bytes& value) {
        out.emplace(std::pair(t, std::string(as_text(row))), value);
        return true;
      }));
    return out;
  }
  /// Rows that `cpns store verify` finds at fault.
  [[nodiscard]] std::uint64_t faults() const {
    const auto found = server::check_rows(
        *store, server::decode_server_row, [](const server::row_fault&) {}, [](std::uint64_t) {});
    return found && found->index_complete ? found->faults() : 999;
  }
};

entity_id entity(int i) {
  auto digits = std::to_string(i);
  return entity_id::parse("urn:dev:mac:" + std::string(16 - digits.size(), '0') + digits).value();
}

struct store_transfer : ::testing::Test {
  place from{1}, to{2};
  test::temporary_folder folder;
  std::unique_ptr<storage::key_protector> key = test::key_file_protector(from.random);
  const user_id alice = user_id::parse("alice").value();

  void SetUp() override {
    ASSERT_TRUE(server::load_meta(*from.store, from.random));
    protocol::user_record u;
    u.user = alice;
    u.iterations = 4096;
    from.put(table::users, "alice", encode(u));
    gateway_id gw;
    gw.value.fill(7);
    protocol::gateway_record g;
    g.gw = gw;
    g.blocked_since = 5;
    from.put(table::gateways, as_text(gw.value), encode(g));
    for (int i = 0; i < devices; ++i) {
      protocol::device_secret_record d;
      d.entity = entity(i);
      d.temporary_key = from.random.draw_secret<32>();
      d.owner = alice;
      from.put(table::devices, d.entity.text(), encode(d));
    }
    protocol::entity_record e;
    e.entity = entity(3);
    e.owner = alice;
    e.holder = gw;
    from.put(table::entities, e.entity.text(), encode(e));
    from.put(table::meta, "audit chain", secret_bytes::from_text("of the old server"));
  }

  status export_to(const std::filesystem::path& file) {
    CPNS_TRY(const auto out,
             storage::export_writer::begin(file, storage::if_exists::refuse, *key, time_zero, from.random));
    CPNS_CHECK(server::export_rows(*from.store, *out, [](std::uint64_t) { return true; }));
    return out->finish();
  }
  /// `calls` of progress until it asks to stop.
  result<std::uint64_t> import_from(const std::filesystem::path& file, int calls = 1000) {
    CPNS_TRY(const auto in, storage::export_reader::open(file, *key));
    CPNS_TRY(const auto content, server::check_export(*in, [](std::uint64_t) { return true; }));
    return server::import_rows(*to.store, *in, content, [&calls](std::uint64_t) { return --calls > 0; });
  }
};

TEST_F(store_transfer, moves_every_row_and_writes_the_lists_again) {
  ASSERT_TRUE(export_to(folder / "x"));
  EXPECT_EQ(import_from(folder / "x").value(), 2U);
  EXPECT_EQ(to.rows(), from.rows());
  EXPECT_EQ(to.rows().size(), devices + 3U);
  EXPECT_EQ(to.faults(), 0U);
  const auto mine = server::find_meta(*to.store).value(), old = server::find_meta(*from.store).value();
  EXPECT_EQ(mine->issuer_key, old->issuer_key);
  EXPECT_EQ(mine->fake_salt_key, old->fake_salt_key);
  EXPECT_EQ(mine->incarnation, old->incarnation + 1);
  EXPECT_FALSE(to.store->has(table::meta, as_bytes("audit chain")).value());
  EXPECT_TRUE(server::check_import_finished(*to.store));
}

TEST_F(store_transfer, goes_on_after_a_stop_at_each_part_and_no_server_may_start_meanwhile) {
  ASSERT_TRUE(export_to(folder / "x"));
  for (int calls = 1; calls <= 4; ++calls) {
    const auto stopped = import_from(folder / "x", calls);
    ASSERT_FALSE(stopped) << calls;
    EXPECT_EQ(stopped.error().code, errc::state_stopping);
    const auto begun = server::check_import_finished(*to.store);
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().code, errc::state_conflict);
    EXPECT_NE(begun.error().detail.find("cpns store import"), std::string::npos);
    EXPECT_FALSE(server::find_meta(*to.store).value());
  }
  ASSERT_TRUE(import_from(folder / "x"));
  EXPECT_EQ(to.rows(), from.rows());
  EXPECT_EQ(to.faults(), 0U);
}

TEST_F(store_transfer, goes_on_after_each_write_that_failed_before_or_after_it_was_durable) {
  ASSERT_TRUE(export_to(folder / "x"));
  for (const auto point : {storage::fault_point::before_durable, storage::fault_point::after_durable})
    for (std::uint64_t n = 1; n <= 6; ++n) {
      place target{10 + n};
      std::swap(target.store, to.store);
      target.faulty.fail_write(target.faulty.writes() + n, point);
      const auto first = import_from(folder / "x");
      EXPECT_EQ(first.has_value(), n == 6) << n;
      // After an error of a write that was durable the import may be complete.
      EXPECT_EQ(import_from(folder / "x").value_or(0), 2U) << n;
      EXPECT_TRUE(server::check_import_finished(*to.store));
      std::swap(target.store, to.store);
      EXPECT_EQ(target.rows(), from.rows()) << n;
      EXPECT_EQ(server::find_meta(*target.store).value()->incarnation, 2U) << n;
      EXPECT_EQ(target.faults(), 0U);
    }
}

TEST_F(store_transfer, writes_nothing_when_an_import_of_the_file_was_complete_before) {
  ASSERT_TRUE(export_to(folder / "x"));
  ASSERT_TRUE(import_from(folder / "x"));
  ASSERT_TRUE(to.store->write({{table::users, to_bytes(as_bytes("alice")), std::nullopt, 1}}));
  auto meta = server::find_meta(*to.store).value().value();
  meta.incarnation = 9;
  ASSERT_TRUE(server::save_meta(*to.store, meta));
  const auto writes = to.faulty.writes();
  EXPECT_EQ(import_from(folder / "x").value_or(0), 2U);
  EXPECT_EQ(to.faulty.writes(), writes);
  EXPECT_FALSE(to.store->has(table::users, as_bytes("alice")).value());
}

TEST_F(store_transfer, refuses_a_store_that_has_rows_or_a_part_of_another_file) {
  ASSERT_TRUE(export_to(folder / "x"));
  ASSERT_TRUE(export_to(folder / "y"));
  ASSERT_FALSE(import_from(folder / "x", 2));
  const auto other = import_from(folder / "y");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, errc::state_exists);
  EXPECT_NE(other.error().detail.find("another file"), std::string::npos);
  ASSERT_TRUE(import_from(folder / "x"));
  EXPECT_EQ(import_from(folder / "y").error().code, errc::state_exists);
  place started{7};
  ASSERT_TRUE(server::load_meta(*started.store, started.random));
  std::swap(started.store, to.store);
  EXPECT_EQ(import_from(folder / "x").error().code, errc::state_exists);
  std::swap(started.store, to.store);
}

TEST_F(store_transfer, exports_nothing_when_a_row_cannot_be_read) {
  ASSERT_TRUE(
      from.store->write({{table::users, to_bytes(as_bytes("bob")), secret_bytes::from_text("nonsense")}}));
  const auto done = export_to(folder / "x");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, errc::store_damaged);
  EXPECT_EQ(done.error().detail.find("bob"), std::string::npos) << "names are hidden";
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
  EXPECT_FALSE(std::filesystem::exists(folder / "x.creating"));
}

TEST_F(store_transfer, notices_a_server_that_writes_its_heartbeat) {
  place shared{5, true};
  server::node_row node;
  node.name = "node1";
  node.address = "10.0.0.1:7443";
  shared.put(table::nodes, "node1", encode(node));
  const auto before = server::rows_of_servers(*shared.store).value();
  ASSERT_EQ(before.size(), 1U);
  EXPECT_TRUE(server::check_silent(*shared.store, before));
  shared.put(table::nodes, "node1", encode(node));
  const auto seen = server::check_silent(*shared.store, before);
  ASSERT_FALSE(seen);
  EXPECT_NE(seen.error().detail.find("'node1' at 10.0.0.1:7443"), std::string::npos);
  node.state = server::node_state::stopped;
  shared.put(table::nodes, "node1", encode(node));
  EXPECT_TRUE(server::rows_of_servers(*shared.store).value().empty());
  EXPECT_TRUE(server::check_silent(*shared.store, before));
}

}  // namespace
}  // namespace cpns::server_tests
