// The sweep of index rows that are out of date: it drops those that nobody lists, and none that became true again.

#include "server/index_sweep.hpp"

#include <atomic>
#include <thread>

#include "tests/unit/server/lists_harness.hpp"

namespace cpns::server_tests {
namespace {

using namespace std::chrono_literals;

constexpr server::sweep_times at_once{0ms, 24h};

struct index_sweep : testing::Test {
  captured_log log;
  metrics::registry counted;
  lists_harness p;
  metrics::counter swept = counted.make_counter("swept_total", "of this test");

  index_sweep() {
    // Sweeps and the test draw at the same time.
    p.store = storage::sealed_store::open(p.faulty, *p.protector, crypto::system_entropy()).value();
    p.complete();
  }
  server::index_sweep::parts parts() { return parts(server::write_to(*p.store)); }
  server::index_sweep::parts parts(server::durable_write write) {
    return {p.store.get(), std::move(write), &crypto::system_entropy(), swept};
  }
  void give(int first, int end, const gateway_id& gw) {
    for (int i = first; i < end; ++i) p.assign(lists_harness::entity(i, p.alice, gw));
  }
  void expect_swept(int rows) {
    EXPECT_NE(counted.text().find("swept_total " + std::to_string(rows) + "\n"), std::string::npos)
        << counted.text();
  }
};

TEST_F(index_sweep, drops_the_rows_of_a_former_holder_that_nobody_lists) {
  give(0, 600, hall_gw);
  give(0, 500, attic_gw);
  EXPECT_EQ(p.index_rows(), 1700U);
  {
    server::index_sweep sweep{parts(), at_once};
    ASSERT_TRUE(log.says("index-swept"));
  }
  EXPECT_EQ(p.index_rows(), 1200U);
  expect_swept(500);
  EXPECT_TRUE(log.says(R"("rows":"1700","dropped":"500")")) << log.text();
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 100U);
  EXPECT_EQ(p.entities({.holder = attic_gw}).size(), 500U);
  EXPECT_EQ(p.entities({.owner = p.alice}).size(), 600U);
  EXPECT_TRUE(p.drops.empty()) << "the lists found no stale row";
}

TEST_F(index_sweep, drops_the_rows_of_a_device_that_was_removed) {
  device_secret_record d;
  d.entity = device_number(1).entity;
  d.batch = "lot1";
  const auto write = server::write_to(*p.store);
  ASSERT_TRUE(server::add_device(*p.store, write, d));
  ASSERT_TRUE(server::remove_device(*p.store, write, d.entity));
  EXPECT_EQ(p.index_rows(), 1U);
  {
    server::index_sweep sweep{parts(), at_once};
    ASSERT_TRUE(log.says("index-swept"));
  }
  EXPECT_EQ(p.index_rows(), 0U);
  EXPECT_FALSE(server::find_device(*p.store, d.entity).value().has_value());
  ASSERT_TRUE(server::add_device(*p.store, write, d));
  EXPECT_EQ(p.devices({.batch = "lot1"}).size(), 1U);
}

TEST_F(index_sweep, loses_to_an_assignment_that_makes_the_row_true_again) {
  give(0, 1, hall_gw);
  give(0, 1, attic_gw);
  std::atomic<int> lost = 0;
  {
    server::index_sweep sweep{parts([&](const storage::sealed_batch& drop) {
                                give(0, 1, hall_gw);
                                const auto done = p.store->write(drop);
                                if (!done && done.error() == errc::store_conflict) ++lost;
                                return done;
                              }),
                              at_once};
    ASSERT_TRUE(log.says("index-swept"));
  }
  EXPECT_EQ(lost, 1);
  expect_swept(0);
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 1U);
}

TEST_F(index_sweep, makes_an_assignment_that_was_decided_before_it_decide_again) {
  give(0, 1, hall_gw);
  give(0, 1, attic_gw);
  const auto r = lists_harness::entity(0, p.alice, hall_gw);
  const auto row = p.store->read_one(table::entities, as_bytes(r.entity.text())).value();
  storage::sealed_batch late;
  late.push_back({table::entities, to_bytes(as_bytes(r.entity.text())), encode(r), row.version});
  server::add_index_rows(late, r, lists_harness::entity(0, p.alice, attic_gw));
  {
    server::index_sweep sweep{parts(), at_once};
    ASSERT_TRUE(log.says("index-swept"));
  }
  expect_swept(1);
  EXPECT_EQ(p.store->write(late).error().code, errc::store_conflict);
  give(0, 1, hall_gw);
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 1U);
}

TEST_F(index_sweep, leaves_the_rows_of_a_record_that_cannot_be_read) {
  give(0, 1, hall_gw);
  const auto stored = p.under->slice(table::entities, {}, 10).value().at(0);
  auto bad = stored.value;
  bad.back() ^= 1;
  dynamic_cast<storage::memory_store&>(*p.under).put_back(table::entities, stored.row,
                                                          storage::stored_value{stored.version, bad});
  p.write_alone(table::entities, device_number(1).entity, secret_bytes::from_text("not a record"));
  storage::sealed_batch listed;
  server::add_index_rows(listed, lists_harness::entity(1, p.alice, hall_gw));
  ASSERT_TRUE(p.store->write(listed));
  {
    server::index_sweep sweep{parts(), at_once};
    ASSERT_TRUE(log.says("index-swept"));
  }
  EXPECT_EQ(p.index_rows(), 4U);
}

TEST_F(index_sweep, goes_on_when_the_store_accepts_writes_again) {
  give(0, 3, hall_gw);
  give(0, 3, attic_gw);
  p.faulty.fail_writes(errc::store_full);
  server::index_sweep sweep{parts(), at_once};
  ASSERT_TRUE(log.says("index-sweep-waits"));
  EXPECT_EQ(p.index_rows(), 9U);
  p.faulty.repair();
  ASSERT_TRUE(log.says("index-swept"));
  EXPECT_EQ(p.index_rows(), 6U);
  expect_swept(3);
}

TEST_F(index_sweep, comes_again) {
  give(0, 1, hall_gw);
  server::index_sweep sweep{parts(), {0ms, 20ms}};
  ASSERT_TRUE(log.says("index-swept"));
  give(0, 1, attic_gw);
  ASSERT_TRUE(log.says(R"("dropped":"1")"));
  EXPECT_EQ(p.index_rows(), 2U);
}

TEST_F(index_sweep, of_two_servers_lose_no_row_while_devices_change_their_gateway) {
  constexpr int devices = 40, moves = 3000;
  give(0, devices, hall_gw);
  const auto holder = [](int i, int n) { return (i * 7 + n) % 3 == 0 ? hall_gw : attic_gw; };
  // As an assignment: one that lost decides again.
  const auto move = [&](int i, int n) {
    const auto r = lists_harness::entity(i, p.alice, holder(i, n));
    for (status done = fail(errc::store_conflict, ""); !done;) {
      const auto row = p.store->read_one(table::entities, as_bytes(r.entity.text())).value();
      storage::sealed_batch b;
      b.push_back({table::entities, to_bytes(as_bytes(r.entity.text())), encode(r), row.version});
      server::add_index_rows(b, r, protocol::decode_entity_record(row.value->expose()).value());
      done = p.store->write(b);
      ASSERT_TRUE(done || done.error() == errc::store_conflict) << done.error().message();
    }
  };
  {
    const server::sweep_times always{0ms, 0ms};
    server::index_sweep one{parts(), always}, other{parts(), always};
    for (int n = 0; n < moves; ++n)
      for (int i = 0; i < devices; ++i) move(i, n);
  }
  EXPECT_EQ(counted.text().find("swept_total 0\n"), std::string::npos) << "the sweeps dropped nothing";
  std::size_t at_hall = 0;
  for (int i = 0; i < devices; ++i) at_hall += holder(i, moves - 1) == hall_gw ? 1U : 0U;
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), at_hall);
  EXPECT_EQ(p.entities({.holder = attic_gw}).size(), devices - at_hall);
  EXPECT_EQ(p.entities({.owner = p.alice}).size(), std::size_t{devices});
}

}  // namespace
}  // namespace cpns::server_tests
