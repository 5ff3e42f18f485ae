// The gateway's store: its newest date, which bounds the age of sets when the clock is wrong, and the reports that the server
// has not answered.
#include "actors/pn_gw/key_store.hpp"

#include <algorithm>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <utility>

#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/unit/server/captured_log.hpp"

namespace cpns::actors {
namespace {

constexpr std::int64_t day_ms = 86'400'000;
constexpr std::int64_t keyed_ms = 20'000 * day_ms;

time_point date(std::int64_t ms) { return time_point{milliseconds{ms}}; }

protocol::device_record device(int number, std::int64_t keyed_since_ms, std::int64_t not_after_seconds = 0) {
  protocol::device_record r;
  r.entity = entity_id::parse("urn:dev:os:32473-" + std::to_string(number)).value();
  r.user = user_id::parse("alice@example.org").value();
  r.keyed_since = keyed_since_ms;
  r.not_after = not_after_seconds;
  return r;
}

/// A store that is reopened, as by successive gateway processes.
struct key_store_test : testing::Test {
  storage::memory_store memory;
  test::seeded_entropy random{1};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> rows;
  std::unique_ptr<key_store> store;

  key_store_test() { reopen(); }
  void reopen() {
    store.reset();
    rows.reset();
    rows = storage::sealed_store::open(memory, *protector, random).value();
    store = std::make_unique<key_store>(
        *rows, [this](storage::sealed_batch b, storage::commit_done done) { done(rows->write(b)); });
  }
  void save(const protocol::device_record& r) {
    store->save(r, [](const status& s) { EXPECT_TRUE(s.has_value()); });
  }
  /// As a gateway does when it starts. The PNEs with open reports, by their numbers.
  std::set<std::string> open_reports_of_all() {
    std::set<std::string> out;
    seen = 0;
    unreadable.clear();
    EXPECT_TRUE(store->summaries(
        [&](protocol::device_summary s) {
          const std::lock_guard lock{guard};
          ++seen;
          if (s.to_report) out.insert(s.entity.text().substr(std::string_view{"urn:dev:os:32473-"}.size()));
        },
        [&](const error& e) {
          const std::lock_guard lock{guard};
          unreadable.push_back(e.message());
        }));
    return out;
  }
  std::mutex guard;
  std::size_t seen = 0;
  std::vector<std::string> unreadable;
};
using newest_date = key_store_test;
using reports_of_a_store = key_store_test;

protocol::device_record reporting(int number, std::int64_t keyed_since_ms) {
  auto r = device(number, keyed_since_ms);
  r.to_report = epoch{1, 1};
  return r;
}

TEST_F(key_store_test, a_write_says_which_row_it_replaces) {
  const auto entity = device(1, 0).entity;
  const auto first = store->read(entity).value();
  EXPECT_FALSE(first.record);
  EXPECT_EQ(first.row.version, 0u);
  status outcome;
  const auto save_at = [&](std::int64_t keyed, const row_mark& row) {
    store->save(
        device(1, keyed), [&outcome](const status& s) { outcome = s; }, row);
  };
  save_at(keyed_ms, first.row);
  ASSERT_TRUE(outcome);
  const auto second = store->written(first.row);
  save_at(keyed_ms + 1, second);
  ASSERT_TRUE(outcome);
  save_at(keyed_ms + 2, second);
  ASSERT_FALSE(outcome) << "another one was written meanwhile";
  EXPECT_EQ(outcome.error().code, errc::store_conflict);
  const auto now = store->read(entity).value();
  EXPECT_EQ(now.record.value().keyed_since, keyed_ms + 1);
  save_at(keyed_ms + 3, now.row);
  EXPECT_TRUE(outcome);
  save_at(keyed_ms + 4, row_mark{});
  EXPECT_TRUE(outcome) << "any row is replaced";
  EXPECT_EQ(store->load(entity).value().value().keyed_since, keyed_ms + 4);
}

TEST_F(newest_date, is_zero_for_an_empty_store) {
  ASSERT_TRUE(store->all().has_value());
  EXPECT_EQ(store->newest_date(), time_zero);
}

TEST_F(newest_date, is_the_date_of_the_last_confirmation_and_never_decreases) {
  save(device(1, keyed_ms));
  EXPECT_EQ(store->newest_date(), date(keyed_ms));
  save(device(2, keyed_ms + 5));
  EXPECT_EQ(store->newest_date(), date(keyed_ms + 5));
  save(device(3, keyed_ms - day_ms));
  save(device(2, keyed_ms - day_ms));  // overwrites the record with the newest date
  ASSERT_TRUE(store->load(device(1, 0).entity).has_value());
  EXPECT_EQ(store->newest_date(), date(keyed_ms + 5));
}

TEST_F(newest_date, is_read_when_the_store_is_opened_again) {
  save(device(1, keyed_ms - day_ms));
  save(device(2, keyed_ms));
  save(device(3, keyed_ms - 2 * day_ms));
  reopen();
  ASSERT_EQ(store->all().value().records.size(), 3u);
  EXPECT_EQ(store->newest_date(), date(keyed_ms));
}

TEST_F(newest_date, includes_a_device_that_is_loaded_alone) {
  save(device(1, keyed_ms));
  reopen();
  ASSERT_TRUE(store->load(device(1, 0).entity).value().has_value());
  EXPECT_EQ(store->newest_date(), date(keyed_ms));
}

TEST_F(newest_date, a_confirmation_counts_only_up_to_the_expiry_of_its_set) {
  save(
      device(1, keyed_ms + 3650 * day_ms, keyed_ms / 1000));  // one day with a clock that was ten years ahead
  EXPECT_EQ(store->newest_date(), date(keyed_ms));
  save(device(2, keyed_ms + day_ms, keyed_ms / 1000 + 365 * day_ms / 1000));
  EXPECT_EQ(store->newest_date(), date(keyed_ms + day_ms));
}

TEST_F(newest_date, ignores_an_expiry_that_no_clock_can_reach) {
  for (const std::int64_t not_after : {std::int64_t{0}, INT64_MAX / 1000 + 1, INT64_MAX}) {
    SCOPED_TRACE(not_after);
    const auto before = store->newest_date();
    save(device(1, unix_milliseconds(before) + keyed_ms, not_after));
    EXPECT_EQ(store->newest_date(), before + milliseconds{keyed_ms});
  }
}

TEST_F(reports_of_a_store, that_were_answered_are_not_open_after_a_restart) {
  EXPECT_TRUE(open_reports_of_all().empty());
  for (int i = 0; i < 300; ++i) {
    save(reporting(i, keyed_ms + i));
    if (i != 17) store->report_answered(device(i, 0).entity);
  }
  EXPECT_FALSE(store->load(device(3, 0).entity).value()->to_report);
  EXPECT_TRUE(store->load(device(17, 0).entity).value()->to_report);
  reopen();
  const auto open = open_reports_of_all();
  EXPECT_EQ(seen, 300u);
  EXPECT_TRUE(open.contains("17"));
  EXPECT_FALSE(open.contains("3"));
  EXPECT_EQ(open.size(), 1u + 300 - 257) << "the row was written after 256 answers";
  EXPECT_FALSE(store->load(device(3, 0).entity).value()->to_report);
  EXPECT_TRUE(store->load(device(17, 0).entity).value()->to_report);
  EXPECT_TRUE(store->load(device(299, 0).entity).value()->to_report);
}

TEST_F(reports_of_a_store, of_a_version_without_their_row_are_open) {
  for (int i = 0; i < 20; ++i) {
    storage::sealed_batch batch;
    const auto r = reporting(i, keyed_ms);
    batch.push_back({storage::table::peers, to_bytes(as_bytes(r.entity.text())), encode(r)});
    ASSERT_TRUE(rows->write(batch));
  }
  EXPECT_EQ(open_reports_of_all().size(), 20u);
  EXPECT_TRUE(unreadable.empty());
}

TEST_F(reports_of_a_store, are_all_open_if_their_row_is_damaged_and_the_next_row_repairs_it) {
  const server_tests::captured_log log;
  EXPECT_TRUE(open_reports_of_all().empty());
  for (int i = 0; i < 300; ++i) {
    save(reporting(i, keyed_ms + i));
    store->report_answered(device(i, 0).entity);
  }
  const auto damage = [&](auto change) {
    std::vector<storage::stored_row> found;
    ASSERT_TRUE(memory.scan(storage::table::credentials, {}, [&](const storage::stored_row& r) {
      found.push_back(r);
      return true;
    }));
    ASSERT_EQ(found.size(), 1u);
    change(found.front());
  };
  damage([&](storage::stored_row r) {
    r.value[r.value.size() / 2] ^= 1;
    ASSERT_TRUE(memory.write_one({{storage::table::credentials, r.row, r.version, r.value}}));
  });
  reopen();
  EXPECT_EQ(open_reports_of_all().size(), 300u);
  EXPECT_TRUE(log.text().find("reports-unreadable") != std::string::npos);
  EXPECT_TRUE(unreadable.empty()) << "each PNE is served";
  save(reporting(300, keyed_ms + 300));
  for (int i = 0; i < 256; ++i) store->report_answered(device(i, 0).entity);
  reopen();
  EXPECT_EQ(open_reports_of_all().size(), 45u);
  EXPECT_TRUE(unreadable.empty());
  // A row that decrypts to something else.
  ASSERT_TRUE(rows->write(
      {{storage::table::credentials, to_bytes(as_bytes("settled reports")), secret_bytes::from_text("?")}}));
  reopen();
  EXPECT_EQ(open_reports_of_all().size(), 301u);
}

TEST_F(reports_of_a_store, survive_a_write_that_fails) {
  std::vector<std::pair<storage::sealed_batch, storage::commit_done>> pending;
  key_store slow{*rows, [&](storage::sealed_batch b, storage::commit_done done) {
                   pending.emplace_back(std::move(b), std::move(done));
                 }};
  ASSERT_TRUE(slow.summaries([](const protocol::device_summary&) {}, [](const error&) {}));
  const auto end = [&](bool well) {
    for (auto& [batch, done] : std::exchange(pending, {}))
      done(well ? rows->write(batch) : fail(errc::store_full));
  };
  slow.save(reporting(1, keyed_ms), [](const status&) {});
  end(true);
  slow.save(reporting(1, keyed_ms + 5), [](const status&) {});
  slow.save(device(1, keyed_ms + 5), [](const status&) {});
  end(false);
  EXPECT_TRUE(slow.load(device(1, 0).entity).value()->to_report);
  for (int i = 2; i < 300; ++i) {
    slow.save(reporting(i, keyed_ms + i), [](const status&) {});
    end(true);
    slow.report_answered(device(i, 0).entity);
  }
  reopen();
  EXPECT_TRUE(open_reports_of_all().contains("1"));
}

TEST_F(reports_of_a_store, that_cannot_be_read_stop_the_start) {
  storage::faulty_store faulty{memory};
  const auto sealed = storage::sealed_store::open(faulty, *protector, random).value();
  key_store other{*sealed, [](const storage::sealed_batch&, const storage::commit_done&) {}};
  faulty.fail_reads(errc::store_unavailable);
  const auto outcome = other.summaries([](const protocol::device_summary&) {}, [](const error&) {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, errc::store_unavailable);
}

TEST_F(reports_of_a_store, ten_damaged_records_cost_their_own_pnes_alone) {
  for (int i = 0; i < 1000; ++i) save(reporting(i, keyed_ms + i));
  std::vector<storage::stored_row> found;
  ASSERT_TRUE(memory.scan(storage::table::peers, {}, [&](const storage::stored_row& r) {
    found.push_back(r);
    return found.size() < 10;
  }));
  for (auto& r : found) {
    r.value.back() ^= 1;
    ASSERT_TRUE(memory.write_one({{storage::table::peers, r.row, r.version, r.value}}));
  }
  ASSERT_TRUE(rows->write({{storage::table::peers, to_bytes(as_bytes("urn:dev:os:32473-torn")),
                            secret_bytes::from_text("no record")}}));
  reopen();
  EXPECT_EQ(open_reports_of_all().size(), 990u);
  EXPECT_EQ(seen, 990u);
  ASSERT_EQ(unreadable.size(), 11u);
  EXPECT_TRUE(std::any_of(unreadable.begin(), unreadable.end(), [](const std::string& why) {
    return why.find("32473-torn") != std::string::npos;
  }));
}

}  // namespace
}  // namespace cpns::actors
