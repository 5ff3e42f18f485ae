// Lists of an owner, a holder or a batch: they read index rows, which are complete after any crash and race, and drop the
// stale ones.

#include <future>

#include "server/administration.hpp"
#include "server/index_build.hpp"
#include "tests/unit/server/lists_harness.hpp"

namespace cpns::server_tests {
namespace {

class index_rows : public ::testing::TestWithParam<test::engine> {};
INSTANTIATE_TEST_SUITE_P(engines, index_rows, test::every_engine(), test::engine_name);

TEST_P(index_rows, list_the_entities_of_an_owner_and_of_a_holder_in_pages) {
  lists_harness p{GetParam()};
  p.complete();
  for (int i = 0; i < 300; ++i)
    p.assign(lists_harness::entity(i, i % 3 == 0 ? p.alice : p.bob, i % 2 == 0 ? hall_gw : attic_gw));
  EXPECT_EQ(p.entities({.owner = p.alice}, 25).size(), 100U);
  EXPECT_EQ(p.pages, 4U) << "the last row of a page is the last of the group";
  EXPECT_EQ(p.entities({.holder = hall_gw}, 7).size(), 150U);
  EXPECT_EQ(p.entities({.owner = p.alice, .holder = hall_gw}, 7).size(), 50U);
  EXPECT_EQ(p.entities({.prefix = device_number(20).entity.text(), .holder = hall_gw}).size(), 1U);
  EXPECT_EQ(p.entities({.owner = user_id::parse("eve").value()}).size(), 0U);
  EXPECT_EQ(p.entities({.held = true}).size(), 300U);
  EXPECT_TRUE(p.drops.empty());
}

TEST_P(index_rows, read_no_row_of_another_owner) {
  lists_harness p{GetParam()};
  p.complete();
  for (int i = 0; i < 20; ++i) p.assign(lists_harness::entity(i, i == 3 ? p.alice : p.bob, hall_gw));
  const auto stored = p.under->slice(table::entities, {}, 100).value();
  for (const auto& row : stored) {
    auto bad = row.value;
    bad.back() ^= 1;
    ASSERT_TRUE(p.under->write_one({{table::entities, row.row, row.version, bad}}));
  }
  const auto page = server::entities_page(*p.store, {}, {.owner = p.alice}).value();
  EXPECT_EQ(page.at("unreadable").as_uint64(), 1U) << "of the twenty damaged rows one is read";
}

TEST_P(index_rows, are_written_only_when_the_owner_or_the_holder_changes) {
  lists_harness p{GetParam()};
  auto r = lists_harness::entity(1, p.alice, hall_gw);
  p.assign(r);
  EXPECT_EQ(p.index_rows(), 2U);
  r.resets = 4;
  storage::sealed_batch again;
  server::add_index_rows(again, r, r);
  EXPECT_TRUE(again.empty());
  r.holder = attic_gw;
  p.assign(r);
  EXPECT_EQ(p.index_rows(), 3U);
}

TEST_P(index_rows, that_are_stale_are_left_out_and_dropped) {
  lists_harness p{GetParam()};
  p.complete();
  for (int i = 0; i < 10; ++i) p.assign(lists_harness::entity(i, p.alice, hall_gw));
  for (int i = 0; i < 4; ++i) p.assign(lists_harness::entity(i, p.alice, attic_gw));
  EXPECT_EQ(p.index_rows(), 24U);
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 6U);
  ASSERT_EQ(p.drops.size(), 4U);
  for (const auto& drop : p.drops) EXPECT_TRUE(p.store->write(drop));
  EXPECT_EQ(p.index_rows(), 20U);
  p.drops.clear();
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 6U);
  EXPECT_EQ(p.entities({.holder = attic_gw}).size(), 4U);
  EXPECT_TRUE(p.drops.empty());
}

TEST_P(index_rows, stay_when_the_holder_comes_back_before_the_drop) {
  lists_harness p{GetParam()};
  p.complete();
  p.assign(lists_harness::entity(1, p.alice, hall_gw));
  p.assign(lists_harness::entity(1, p.alice, attic_gw));
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 0U);
  p.assign(lists_harness::entity(1, p.alice, hall_gw));
  ASSERT_EQ(p.drops.size(), 1U);
  EXPECT_EQ(p.store->write(p.drops[0]).error().code, errc::store_conflict);
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 1U);
}

TEST_P(index_rows, are_written_again_when_the_drop_comes_first) {
  lists_harness p{GetParam()};
  p.complete();
  p.assign(lists_harness::entity(1, p.alice, hall_gw));
  p.assign(lists_harness::entity(1, p.alice, attic_gw));
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 0U);
  // The assignment has read the row already.
  const auto r = lists_harness::entity(1, p.alice, hall_gw);
  const auto row = p.store->read_one(table::entities, as_bytes(r.entity.text())).value();
  storage::sealed_batch late;
  late.push_back({table::entities, to_bytes(as_bytes(r.entity.text())), encode(r), row.version});
  server::add_index_rows(late, r, lists_harness::entity(1, p.alice, attic_gw));
  ASSERT_TRUE(p.store->write(p.drops.at(0)));
  EXPECT_EQ(p.store->write(late).error().code, errc::store_conflict) << "it has to decide again";
  p.assign(r);
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 1U);
}

TEST_P(index_rows, list_devices_by_batch_and_owner_until_they_are_removed) {
  lists_harness p{GetParam()};
  p.complete();
  for (int i = 0; i < 12; ++i) {
    device_secret_record d;
    d.entity = device_number(i).entity;
    d.batch = i < 5 ? "lot1" : std::string(255, 'b');
    if (i % 2 == 0) d.owner = p.alice;
    ASSERT_TRUE(server::add_device(*p.store, server::write_to(*p.store), d));
  }
  EXPECT_EQ(p.devices({.batch = "lot1"}).size(), 5U);
  EXPECT_EQ(p.devices({.batch = std::string(255, 'b')}).size(), 7U);
  EXPECT_EQ(p.devices({.batch = std::string(2000, 'b')}).size(), 0U);
  EXPECT_EQ(p.devices({.owner = p.alice}).size(), 6U);
  EXPECT_EQ(p.devices({.owner = p.alice, .batch = "lot1"}).size(), 3U);
  const auto write = server::write_to(*p.store);
  ASSERT_TRUE(server::block_device(*p.store, write, device_number(0).entity));
  ASSERT_TRUE(server::remove_device(*p.store, write, device_number(2).entity));
  EXPECT_EQ(p.devices({.batch = "lot1"}).size(), 3U);
  ASSERT_EQ(p.drops.size(), 2U);
  for (const auto& drop : p.drops) EXPECT_TRUE(p.store->write(drop));
  EXPECT_TRUE(server::find_device(*p.store, device_number(0).entity).value()->blocked);
  EXPECT_FALSE(server::find_device(*p.store, device_number(2).entity).value().has_value());
}

TEST_P(index_rows, do_not_serve_a_list_that_began_as_a_scan) {
  lists_harness p{GetParam()};
  for (int i = 0; i < 40; ++i) p.assign(lists_harness::entity(i, p.alice, hall_gw));
  std::set<std::string> seen;
  server::page_asked asked{10, {}};
  do {
    const auto page = server::entities_page(*p.store, asked, {.owner = p.alice}).value();
    for (const auto& one : page.at("entities").as_array())
      EXPECT_TRUE(seen.emplace(one.at("entity").as_string().c_str()).second);
    asked.after = page.at("next").is_null() ? "" : page.at("next").as_string().c_str();
    if (seen.size() == 10) p.complete();
  } while (!asked.after.empty());
  EXPECT_EQ(seen.size(), 40U);
}

TEST_P(index_rows, are_built_from_the_rows_of_an_older_server) {
  lists_harness p{GetParam()};
  for (int i = 0; i < 700; ++i) {
    const auto r = lists_harness::entity(i, i % 2 == 0 ? p.alice : p.bob, hall_gw);
    p.write_alone(table::entities, r.entity, encode(r));
    device_secret_record d;
    d.entity = r.entity;
    d.batch = "lot1";
    p.write_alone(table::devices, d.entity, encode(d));
  }
  p.write_alone(table::entities, device_number(700).entity, secret_bytes::from_text("not a record"));
  EXPECT_EQ(p.entities({.owner = p.alice}).size(), 350U) << "by a scan";
  EXPECT_EQ(p.index_rows(), 0U);
  server::index_build build{*p.store, server::write_to(*p.store)};
  build.wait();
  EXPECT_TRUE(server::index_complete(*p.store).value());
  EXPECT_EQ(p.index_rows(), 700U * 3);
  EXPECT_EQ(p.entities({.owner = p.alice}).size(), 350U);
  EXPECT_EQ(p.entities({.holder = hall_gw}).size(), 700U);
  EXPECT_EQ(p.devices({.batch = "lot1"}).size(), 700U);
  EXPECT_EQ(server::held_entities(*p.store, hall_gw)->size(), 700U);
}

TEST(index_build, goes_on_when_the_store_accepts_writes_again) {
  captured_log log;
  lists_harness p;
  for (int i = 0; i < 5; ++i) {
    const auto r = lists_harness::entity(i, p.alice, hall_gw);
    p.write_alone(table::entities, r.entity, encode(r));
  }
  p.faulty.fail_writes(errc::store_full);
  server::index_build build{*p.store, server::write_to(*p.store)};
  EXPECT_TRUE(log.says("index-build-waits"));
  EXPECT_FALSE(server::index_complete(*p.store).value());
  p.faulty.repair();
  build.wait();
  EXPECT_TRUE(server::index_complete(*p.store).value());
  EXPECT_EQ(p.entities({.owner = p.alice}).size(), 5U);
}

TEST(index_build, begins_again_after_it_was_stopped) {
  lists_harness p;
  for (int i = 0; i < 600; ++i) {
    const auto r = lists_harness::entity(i, p.alice, hall_gw);
    p.write_alone(table::entities, r.entity, encode(r));
  }
  server::index_build* running = nullptr;
  {
    std::atomic<int> writes = 0;
    std::promise<void> made;
    const auto is_made = made.get_future().share();
    server::index_build build{*p.store, [&](const storage::sealed_batch& b) {
                                is_made.wait();
                                if (++writes == 1) running->stop();
                                return p.store->write(b);
                              }};
    running = &build;
    made.set_value();
  }
  EXPECT_FALSE(server::index_complete(*p.store).value());
  EXPECT_EQ(p.index_rows(), 512U);
  server::index_build{*p.store, server::write_to(*p.store)}.wait();
  EXPECT_EQ(p.index_rows(), 1200U);
}

TEST(index_rows_of_a_server, follow_the_holder_of_a_device) {
  role_harness p;
  auto g = p.connect();
  ASSERT_EQ(status_of(g->ask(p.assignment(*g, p.device, p.alice))), link_status::ok);
  const auto holder = [&](const gateway_id& gw) {
    return server::held_entities(*p.sealed, gw).value().size();
  };
  EXPECT_EQ(holder(p.gw), 1U);
  const auto owned = server::entities_page(*p.sealed, {}, {.owner = p.alice.user}).value();
  EXPECT_EQ(owned.at("entities").as_array().size(), 1U);
  ASSERT_TRUE(p.role->admin().release(p.device.entity));
  EXPECT_EQ(holder(p.gw), 0U);
  const auto rows = [&] { return p.memory.slice(table::indexes, {}, 10).value().size(); };
  EXPECT_EQ(rows(), 2U);
  const auto listed = p.role->admin().release_held_by(p.gw, {});
  ASSERT_TRUE(listed);
  EXPECT_TRUE(listed->released.empty());
  p.role.reset();  // writes what is queued
  EXPECT_EQ(rows(), 1U) << "the list dropped the row of the holder";
  p.start();
  auto again = p.connect();
  ASSERT_EQ(status_of(again->ask(p.assignment(*again, p.device, p.alice, assignment_reason::recover))),
            link_status::ok);
  EXPECT_EQ(holder(p.gw), 1U);
}

}  // namespace
}  // namespace cpns::server_tests
