// Pages of a sealed store: each row once, whatever is written meanwhile.

#include <algorithm>

#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "support.hpp"
#include "tests/support/engines.hpp"

namespace cpns::storage::testing {
namespace {

class pages : public ::testing::TestWithParam<test::engine> {
 protected:
  pages() {
    EXPECT_OK(create_key_file(dir_ / "kek", random_source()));
    const auto key = open_key_file(dir_ / "kek");
    store_ = std::move(sealed_store::open(*under_, **key, random_source()).value());
  }
  void fill(int from, int to) {
    sealed_batch batch;
    for (int i = from; i < to; ++i) batch.push_back(seal(table::devices, "device " + std::to_string(i), "1"));
    ASSERT_OK(store_->write(batch));
  }
  /// Reads one page, counts its rows in `seen_` by name, and returns its end.
  page_end read_page(std::string_view after, std::size_t limit) {
    auto end = store_->page(
        table::devices, after, limit,
        [this](byte_view row, const secret_bytes&) {
          ++seen_[std::string(as_text(row))];
          return true;
        },
        [this](const error& e) { damaged_.push_back(e); });
    EXPECT_OK(end);
    return end.value_or(page_end{});
  }
  test::temporary_folder dir_;
  std::unique_ptr<store> under_ = test::open_engine(GetParam(), dir_ / "store");
  std::unique_ptr<sealed_store> store_;
  std::map<std::string, int> seen_;
  std::vector<error> damaged_;
};

TEST_P(pages, have_each_row_once_and_no_end_but_the_last) {
  fill(0, 1000);
  ASSERT_OK(store_->write({seal(table::users, "ann", "1")}));
  std::size_t read = 0, count = 0;
  page_end end{std::string{}};
  for (; end; ++count) {
    end = read_page(*end, 300);
    EXPECT_EQ(seen_.size(), std::min<std::size_t>(read + 300, 1000));
    read = seen_.size();
  }
  EXPECT_EQ(count, 4U);
  EXPECT_EQ(seen_.size(), 1000U);
  for (const auto& [row, times] : seen_) EXPECT_EQ(times, 1) << row;
}

TEST_P(pages, end_without_a_next_one_when_their_last_row_is_the_last_of_all) {
  fill(0, 20);
  const auto half = read_page("", 10);
  ASSERT_TRUE(half.has_value());
  EXPECT_FALSE(read_page(*half, 10).has_value());
  EXPECT_EQ(seen_.size(), 20U);
  EXPECT_FALSE(
      store_
          ->page(
              table::users, "", 10, [](byte_view, const secret_bytes&) { return true; }, [](const error&) {})
          .value()
          .has_value())
      << "an empty table has one page";
}

TEST_P(pages, miss_and_repeat_no_row_while_others_are_added_and_removed) {
  fill(0, 400);
  page_end end{std::string{}};
  int fresh = 400;
  while (end) {
    end = read_page(*end, 50);
    fill(fresh, fresh + 20);
    ASSERT_OK(store_->write({{table::devices, b("device " + std::to_string(fresh)), std::nullopt}}));
    fresh += 20;
    ASSERT_LT(fresh, 4000) << "the rows that are added do not end the pages";
  }
  for (int i = 0; i < 400; ++i) EXPECT_EQ(seen_["device " + std::to_string(i)], 1) << i;
  for (const auto& [row, times] : seen_) EXPECT_LE(times, 1) << row;
}

TEST_P(pages, end_where_the_visitor_wants_and_go_on_after_that_row) {
  fill(0, 30);
  std::vector<std::string> first;
  const auto take = [&first](byte_view row, const secret_bytes&) {
    first.emplace_back(as_text(row));
    return first.size() < 7;
  };
  const auto end = store_->page(table::devices, "", 1000, take, [](const error&) {});
  ASSERT_OK(end);
  ASSERT_TRUE(end->has_value());
  EXPECT_EQ(first.size(), 7U);
  EXPECT_FALSE(read_page(**end, 1000).has_value());
  EXPECT_EQ(seen_.size(), 23U);
  for (const auto& row : first) EXPECT_EQ(seen_.count(row), 0U) << row;
}

TEST_P(pages, report_and_skip_rows_that_cannot_be_decrypted) {
  fill(0, 10);
  auto rows = under_->slice(table::devices, {}, 2).value();
  for (auto& r : rows) {
    r.value.back() ^= 1;
    ASSERT_OK(under_->write_one({{table::devices, r.row, r.version, r.value}}));
  }
  EXPECT_FALSE(read_page("", 100).has_value());
  EXPECT_EQ(seen_.size(), 8U);
  ASSERT_EQ(damaged_.size(), 2U);
  EXPECT_EQ(damaged_[0].code, errc::store_sealed);
}

TEST_P(pages, refuse_an_end_that_no_page_had) {
  for (const auto* after : {"x", "abc", "device 1"})
    EXPECT_EQ(code(store_->page(
                  table::devices, after, 10, [](byte_view, const secret_bytes&) { return true; },
                  [](const error&) {})),
              "config_range")
        << after;
}

INSTANTIATE_TEST_SUITE_P(engines, pages, test::every_engine(), test::engine_name);

TEST(page_of_a_failing_store, is_an_error) {
  const test::temporary_folder dir;
  ASSERT_OK(create_key_file(dir / "kek", random_source()));
  memory_store memory;
  faulty_store under(memory);
  const auto key = open_key_file(dir / "kek");
  const auto s = sealed_store::open(under, **key, random_source());
  ASSERT_OK(s);
  ASSERT_OK((*s)->write({seal(table::users, "ann", "1")}));
  under.fail_reads(errc::store_unavailable);
  EXPECT_EQ(
      code((*s)->page(
          table::users, "", 10, [](byte_view, const secret_bytes&) { return true; }, [](const error&) {})),
      "store_unavailable");
}

}  // namespace
}  // namespace cpns::storage::testing
