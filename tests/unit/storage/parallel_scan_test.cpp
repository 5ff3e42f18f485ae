// A table that several threads read.

#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "storage/faulty_store.hpp"
#include "support.hpp"
#include "tests/support/engines.hpp"

namespace cpns::storage::testing {
namespace {

class parallel_scan : public ::testing::TestWithParam<test::engine> {
 protected:
  parallel_scan() {
    EXPECT_OK(create_key_file(dir_ / "kek", random_source()));
    const auto key = open_key_file(dir_ / "kek");
    store_ = std::move(sealed_store::open(faulty_, **key, random_source()).value());
  }
  void fill(int count) {
    sealed_batch batch;
    for (int i = 0; i < count; ++i)
      batch.push_back(seal(table::devices, "device " + std::to_string(i), std::to_string(i)));
    batch.push_back(seal(table::users, "ann", "1"));
    ASSERT_OK(store_->write(batch));
  }
  status scan(std::size_t threads) {
    return store_->scan_with(
        threads, table::devices,
        [this](byte_view row, byte_view value) {
          const std::lock_guard lock(guard_);
          readers_.insert(std::this_thread::get_id());
          EXPECT_TRUE(seen_.emplace(as_text(row), as_text(value)).second) << as_text(row);
        },
        [this](const error& e) {
          const std::lock_guard lock(guard_);
          damaged_.push_back(e);
        });
  }
  test::temporary_folder dir_;
  std::unique_ptr<store> under_ = test::open_engine(GetParam(), dir_ / "store");
  faulty_store faulty_{*under_};
  std::unique_ptr<sealed_store> store_;
  std::mutex guard_;
  std::map<std::string, std::string> seen_;
  std::set<std::thread::id> readers_;
  std::vector<error> damaged_;
};

TEST_P(parallel_scan, has_each_row_of_its_table_once) {
  fill(2000);
  ASSERT_OK(store_->write({{table::devices, to_bytes(as_bytes("device 7")), std::nullopt}}));
  for (const std::size_t threads : {1, 3}) {
    seen_.clear();
    ASSERT_OK(scan(threads));
    EXPECT_EQ(seen_.size(), 1999U);
    EXPECT_FALSE(seen_.contains("device 7")) << "it was erased";
    EXPECT_EQ(seen_["device 1999"], "1999");
  }
  EXPECT_GE(readers_.size(), 1U);
  EXPECT_LE(readers_.size(), 3U);
}

TEST_P(parallel_scan, goes_on_after_rows_that_cannot_be_decrypted) {
  fill(500);
  std::vector<stored_row> rows;
  ASSERT_OK(under_->scan(table::devices, {}, [&](const stored_row& r) {
    rows.push_back(r);
    return rows.size() < 10;
  }));
  for (auto& r : rows) {
    r.value.back() ^= 1;
    ASSERT_OK(under_->write_one({{table::devices, r.row, r.version, r.value}}));
  }
  ASSERT_OK(scan(2));
  EXPECT_EQ(seen_.size(), 490U);
  ASSERT_EQ(damaged_.size(), 10U);
  for (const auto& e : damaged_) EXPECT_EQ(e.code, errc::store_sealed);
}

TEST_P(parallel_scan, ends_with_the_error_of_the_store) {
  fill(10);
  faulty_.fail_reads(errc::store_unavailable);
  const auto outcome = scan(3);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, errc::store_unavailable);
  EXPECT_TRUE(seen_.empty());
}

TEST_P(parallel_scan, passes_an_exception_of_a_visitor_on) {
  fill(300);
  const auto throws = [](byte_view, byte_view) { throw std::runtime_error("full"); };
  EXPECT_THROW((void)store_->scan_with(3, table::devices, throws, [](const error&) {}), std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(engines, parallel_scan, test::every_engine(), test::engine_name);

}  // namespace
}  // namespace cpns::storage::testing
