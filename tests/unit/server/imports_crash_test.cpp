// The process ends at each write of an import, and the disk fails for a while: nothing is lost, nothing is half done.

#include <thread>

#include "storage/rocksdb_store.hpp"
#include "tests/unit/server/import_harness.hpp"

namespace cpns::server_tests {
namespace {

using storage::fault_point;

constexpr int rows = 2300;
constexpr std::size_t part = 60'000;  ///< bytes of one request

/// What a client does: it looks, then goes on from there. False: an error came, or `over` ended the wait.
template <class Over>
bool drive(import_harness& h, const std::string& text, Over over) {
  if (!h.imports->find("lot7") && !h.imports->create("lot7", {})) return false;
  for (;;) {
    const auto now = h.imports->find("lot7").value();
    if (now.record.state != protocol::import_state::receiving || now.record.bytes == text.size()) break;
    const auto next = text.substr(now.record.bytes, part);
    if (!h.imports->receive("lot7", now.record.bytes, source_of(next))) return false;
  }
  if (!h.imports->finish("lot7", h.who)) return false;
  for (;;) {
    const auto now = h.imports->find("lot7").value();
    if (now.ended()) return true;
    if (over() || (now.problem && !now.working)) return false;
    std::this_thread::yield();
  }
}

void expect_all_imported(import_harness& h) {
  const auto end = h.imports->find("lot7").value();
  EXPECT_EQ(end.state(), "done");
  EXPECT_EQ(end.record.imported, static_cast<std::uint64_t>(rows));
  EXPECT_EQ(end.record.bad, 0U);
  EXPECT_EQ(h.devices(), static_cast<std::size_t>(rows));
  EXPECT_EQ(h.rows_in(storage::table::imports), 2U) << "the index and the record";
}

class crash_at_each_write : public testing::TestWithParam<fault_point> {};

TEST_P(crash_at_each_write, loses_nothing_and_shows_no_half_of_an_import) {
  const auto text = list_of(rows);
  for (std::uint64_t n = 1;; ++n) {
    import_harness h;
    const auto first = h.faulty.writes() + n;
    h.faulty.fail_write(first, GetParam());
    for (std::uint64_t later = 1; later < 20; ++later)
      h.faulty.fail_write(first + later, fault_point::before_durable);
    const bool ended = drive(h, text, [&] { return h.faulty.writes() >= first; });
    if (ended) {
      ASSERT_GT(n, 10U) << "an import of several blocks has more writes";
      return expect_all_imported(h);
    }
    h.imports.reset();
    // The next process finds the disk as it is, and its writes work.
    for (std::uint64_t later = h.faulty.writes(); later < first + 20; ++later)
      static_cast<void>(h.faulty.write({}));
    const auto record =
        h.sealed->get(storage::table::imports, as_bytes(protocol::import_row("lot7"))).value();
    const auto state =
        record ? protocol::decode_import_record(record->expose())->state : protocol::import_state::receiving;
    if (state == protocol::import_state::receiving) {
      ASSERT_EQ(h.devices(), 0U) << "write " << n;
    }
    h.start();
    ASSERT_TRUE(drive(h, text, [] { return false; })) << "write " << n;
    expect_all_imported(h);
  }
}

INSTANTIATE_TEST_SUITE_P(points, crash_at_each_write,
                         testing::Values(fault_point::before_durable, fault_point::after_durable));

TEST(imports, say_that_a_decision_is_not_known_if_the_server_ends_while_the_disk_fails) {
  import_harness h;
  h.log.at_begin = [&] { h.faulty.fail_writes(errc::store_write_failed, fault_point::turns_up_later); };
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(list_of(3))));
  ASSERT_TRUE(h.imports->finish("lot7", h.who));
  while (!h.imports->find("lot7")->problem) std::this_thread::yield();
  h.imports->stop();
  ASSERT_EQ(h.log.ends.size(), 1U);
  EXPECT_NE(h.log.ends[0].how.find("not known"), std::string::npos) << h.log.ends[0].how;
  h.log.at_begin = {};
  h.faulty.repair();
  h.restart();
  EXPECT_EQ(h.imports->wait("lot7")->record.imported, 3U) << "the decision turned up";
}

TEST(imports, wait_for_a_disk_that_fails_at_each_write) {
  const auto text = list_of(rows);
  for (std::uint64_t n = 1;; ++n) {
    import_harness h;
    const auto failing = h.faulty.writes() + n;
    h.faulty.fail_write(failing, n % 2 == 0 ? fault_point::before_durable : fault_point::after_durable,
                        errc::store_full);
    int attempts = 0;
    while (!drive(h, text, [] { return false; })) ASSERT_LT(++attempts, 3) << "write " << n;
    expect_all_imported(h);
    if (h.faulty.writes() < failing) break;
  }
}

TEST(imports, take_in_writes_that_turn_up_when_the_store_is_opened_again) {
  const auto text = list_of(rows);
  import_harness h;
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(text.substr(0, part))));
  h.faulty.fail_writes(errc::store_full, fault_point::turns_up_later);
  EXPECT_EQ(h.imports->receive("lot7", part, source_of(text.substr(part))).error().code, errc::store_full);
  EXPECT_FALSE(h.imports->receive("lot7", part, source_of(text.substr(part)))) << "the store takes no writes";
  h.faulty.repair();
  ASSERT_TRUE(drive(h, text, [] { return false; }));
  expect_all_imported(h);
}

TEST(imports, take_no_bytes_once_the_store_has_refused_them_by_a_write_that_failed) {
  import_harness h;
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of("colour,")));
  h.faulty.fail_writes(errc::store_full, fault_point::turns_up_later);
  EXPECT_EQ(h.imports->receive("lot7", 7, source_of("shape\n")).error().code, errc::store_full);
  EXPECT_EQ(h.imports->find("lot7")->state(), "receiving");
  h.faulty.repair();
  EXPECT_EQ(h.imports->receive("lot7", 0, source_of(list_of(3))).error().code, errc::state_conflict);
  EXPECT_EQ(h.imports->find("lot7")->state(), "refused");
  EXPECT_TRUE(h.imports->finish("lot7", h.who)->ended());
  EXPECT_EQ(h.devices(), 0U);
}

TEST(imports, go_on_after_a_stop_in_the_middle_of_writing_devices) {
  const auto text = list_of(5000);
  import_harness h;
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(text)));
  ASSERT_TRUE(h.imports->finish("lot7", h.who));
  while (h.devices() < 1000) std::this_thread::yield();
  EXPECT_EQ(h.imports->forget("lot7").error().code, errc::state_conflict) << "it is decided";
  h.imports.reset();
  const auto written = h.devices();
  ASSERT_LT(written, 5000U);
  ASSERT_EQ(h.log.ends.size(), 1U);
  EXPECT_EQ(h.log.ends[0].how, "done");
  EXPECT_EQ(h.log.ends[0].after.at("imported").to_number<std::size_t>(), written);
  h.start();
  EXPECT_EQ(h.imports->wait("lot7")->record.imported, 5000U);
  EXPECT_EQ(h.devices(), 5000U);
}

TEST(imports, survive_the_end_of_the_process_on_a_disk) {
  test::temporary_folder folder;
  auto rocks = storage::open_rocksdb_store(folder.path() / "db").value();
  const auto text = list_of(rows);
  import_harness h{rocks.get()};
  ASSERT_TRUE(h.imports->create("lot7", {}));
  ASSERT_TRUE(h.imports->receive("lot7", 0, source_of(text.substr(0, text.size() / 2))));
  h.restart();
  ASSERT_TRUE(drive(h, text, [] { return false; }));
  expect_all_imported(h);
  h.imports.reset();
}

}  // namespace
}  // namespace cpns::server_tests
