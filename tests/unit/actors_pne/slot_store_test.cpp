// The rows of the devices of one process.

#include "tests/unit/actors_pne/slots_harness.hpp"

namespace cpns::pne_actor_tests {
namespace {

using slot_store_test = slots_test;

TEST_F(slot_store_test, returns_the_record_that_was_saved_last_for_each_device) {
  EXPECT_EQ(stored(1), -1);
  ASSERT_TRUE(save(1, record(4)));
  ASSERT_TRUE(save(2, record(9)));
  ASSERT_TRUE(save(1, record(5)));
  open();
  const std::vector<entity_id> all{device(2), device(1), device(3)};
  const auto got = slots_->load(all);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0]->record->highest()->which, (epoch{1, 9}));
  EXPECT_EQ(got[1]->record->highest()->which, (epoch{1, 5}));
  EXPECT_EQ(got[1]->version, 2u);
  EXPECT_FALSE(got[2]->record);
}

TEST_F(slot_store_test, reads_more_devices_than_one_read_takes) {
  std::vector<entity_id> all;
  for (int n = 0; n < 2500; ++n) all.push_back(device(n));
  ASSERT_TRUE(save(2400, record(7)));
  const auto got = slots_->load(all);
  ASSERT_EQ(got.size(), all.size());
  EXPECT_TRUE(got[2400]->record);
  EXPECT_FALSE(got[2399]->record);
}

TEST_F(slot_store_test, a_damaged_row_is_an_error_of_its_device_alone) {
  ASSERT_TRUE(save(1, record(4)));
  std::optional<storage::stored_row> of_first;
  ASSERT_TRUE(memory_.scan(storage::table::peers, {}, [&of_first](const storage::stored_row& r) {
    of_first = r;
    return false;
  }));
  ASSERT_TRUE(save(2, record(4)));
  of_first->value.back() ^= 1;
  ASSERT_TRUE(
      memory_.write_one({{storage::table::peers, of_first->row, of_first->version, of_first->value}}));
  const auto got = slots_->load(device(1));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, errc::store_sealed);
  EXPECT_NE(got.error().detail.find("urn:dev:os:1-1"), std::string::npos) << got.error().detail;
  EXPECT_NE(got.error().detail.find("`cpns pne reset urn:dev:os:1-1`"), std::string::npos);
  EXPECT_EQ(stored(2), 4);
  ASSERT_TRUE(save(1, {})) << "as the reset does";
  EXPECT_EQ(slots_->load(device(1))->record->highest(), nullptr);
}

TEST_F(slot_store_test, a_damaged_block_is_an_error_of_its_device_alone) {
  ASSERT_TRUE(save(1, record(4)));
  ASSERT_TRUE(memory_.scan(storage::table::peers, {}, [this](const storage::stored_row& r) {
    damaged_ = r.row;
    return false;
  }));
  ASSERT_TRUE(save(2, record(5)));
  const std::vector<entity_id> all{device(2), device(1), device(3)};
  const auto got = slots_->load(all);
  ASSERT_TRUE(got[0]) << got[0].error().message();
  EXPECT_EQ(got[0]->record->highest()->which, (epoch{1, 5}));
  ASSERT_FALSE(got[1]);
  EXPECT_EQ(got[1].error().code, errc::store_damaged);
  EXPECT_NE(got[1].error().detail.find("urn:dev:os:1-1"), std::string::npos) << got[1].error().detail;
  ASSERT_TRUE(got[2]);
  EXPECT_FALSE(got[2]->record);
}

TEST_F(slot_store_test, says_that_a_write_failed_and_keeps_the_row) {
  ASSERT_TRUE(save(1, record(4)));
  disk_.fail_writes(errc::store_full);
  const auto failed = save(1, record(5));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, errc::store_full);
  EXPECT_FALSE(slots_->health().writable);
  EXPECT_EQ(stored(1), 4);
  disk_.repair();
  EXPECT_TRUE(save(1, record(5)));
  EXPECT_EQ(stored(1), 5);
}

TEST_F(slot_store_test, a_write_that_turns_up_later_does_not_replace_a_later_one) {
  ASSERT_TRUE(save(1, record(4)));
  disk_.fail_writes(errc::store_write_failed, storage::fault_point::turns_up_later);
  ASSERT_FALSE(save(1, record(5)));
  disk_.repair();
  EXPECT_EQ(stored(1), 5) << "it turned up";
  EXPECT_TRUE(save(1, record(6))) << "the device repeats its own record, whatever the row is now";
  EXPECT_EQ(stored(1), 6);
}

TEST_F(slot_store_test, is_opened_only_with_the_data_key_of_its_folder) {
  ASSERT_TRUE(save(1, record(4)));
  slots_.reset();
  const auto other = actors::slot_store::open(
      dir_.path(), [this](const auto&) { return std::make_unique<lasting_store>(disk_, damaged_); },
      random_.draw_secret<32>(), random_, counted_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, errc::store_key);
  EXPECT_NE(other.error().detail.find("data.key"), std::string::npos) << other.error().detail;
}

TEST_F(slot_store_test, takes_records_only_for_rows_that_have_the_given_version) {
  ASSERT_TRUE(save(1, record(4)));
  const std::vector<actors::slot_store::taken> all{{device(1), 0, record(2)}, {device(2), 0, record(2)}};
  const auto taken = slots_->take(all);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, errc::store_conflict);
  EXPECT_EQ(stored(1), 4);
  EXPECT_EQ(stored(2), -1) << "all or none";
}

}  // namespace
}  // namespace cpns::pne_actor_tests
