// The newest date in the gateway's store, which bounds the age of sets when the clock is wrong.
#include "actors/pn_gw/key_store.hpp"

#include <gtest/gtest.h>

#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"

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
struct newest_date : testing::Test {
  storage::memory_store memory;
  test::seeded_entropy random{1};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> rows;
  std::unique_ptr<key_store> store;

  newest_date() { reopen(); }
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
};

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

}  // namespace
}  // namespace cpns::actors
