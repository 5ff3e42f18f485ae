#include "storage/recent_writes.hpp"

#include "storage/rocksdb_store.hpp"
#include "support.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::storage::testing {
namespace {

TEST(recent_writes, knows_rows_that_were_written_since_a_moment) {
  recent_writes r;
  const auto before = r.now();
  { const recent_writes::write w(r, {1, 2}); }
  const auto after = r.now();
  EXPECT_FALSE(r.unchanged_since(before, 1));
  EXPECT_TRUE(r.unchanged_since(before, 3));
  EXPECT_TRUE(r.unchanged_since(after, 1));
}

TEST(recent_writes, counts_a_write_from_its_begin_until_its_end) {
  recent_writes r;
  std::optional<recent_writes::write> slow(std::in_place, r, row_hashes{1});
  { const recent_writes::write quick(r, {2}); }
  const auto during = r.now();
  slow.reset();
  EXPECT_FALSE(r.unchanged_since(during, 1)) << "the row was read while it was written";
  EXPECT_FALSE(r.unchanged_since(during, 2)) << "two writes at a time have one moment";
  EXPECT_TRUE(r.unchanged_since(r.now(), 1));
}

TEST(recent_writes, knows_nothing_of_reads_before_the_engine_was_opened_again) {
  recent_writes r;
  const auto before = r.now();
  r.forget();
  EXPECT_FALSE(r.unchanged_since(before, 1));
  EXPECT_TRUE(r.unchanged_since(r.now(), 1));
  EXPECT_FALSE(r.unchanged_since(0, 1)) << "0 stands for none";
}

/// A store that believed the moment alone would let the second writer win.
TEST(recent_writes, let_only_one_of_two_writers_win_that_read_at_the_same_moment) {
  const test::temporary_folder folder;
  const auto store = open_rocksdb_store(folder / "store").value();
  const auto read_at = store->moment();
  ASSERT_NE(read_at, 0U);
  EXPECT_OK(store->write_one({{table::entities, b("one"), 0, b("first"), false, false, read_at}}));
  const auto late = store->write_one({{table::entities, b("one"), 0, b("second"), false, false, read_at}});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), errc::store_conflict);
  EXPECT_EQ(store->get(table::entities, b("one")).value()->value, b("first"));
  EXPECT_OK(store->write_one({{table::entities, b("one"), 1, b("third"), false, false, store->moment()}}));
}

TEST(recent_writes, keep_a_row_that_appeared_since_it_was_absent) {
  const test::temporary_folder folder;
  const auto store = open_rocksdb_store(folder / "store").value();
  const auto absent = [&](std::string_view value, std::uint64_t read_at) {
    return write_batch{{table::indexes, b("one"), 0, b(value), true, false, read_at}};
  };
  const auto before = store->moment();
  EXPECT_OK(store->write_one(absent("first", before)));
  EXPECT_OK(store->write_one(absent("second", before)));
  EXPECT_EQ(store->get(table::indexes, b("one")).value()->value, b("first"));
  const std::vector<write_batch> both{absent("third", before), absent("fourth", before)};
  for (const auto& outcome : store->write(both)) EXPECT_OK(outcome);
  EXPECT_EQ(store->get(table::indexes, b("one")).value()->value, b("first"));
  EXPECT_OK(store->write_one({{table::indexes, b("one"), 1, std::nullopt}}));
  EXPECT_OK(store->write_one(absent("fifth", store->moment())));
  EXPECT_EQ(store->get(table::indexes, b("one")).value()->value, b("fifth"));
}

/// Two batches of one write: the second one expects what the first one writes.
TEST(recent_writes, let_a_batch_see_the_one_before_it) {
  const test::temporary_folder folder;
  const auto store = open_rocksdb_store(folder / "store").value();
  const auto read_at = store->moment();
  const std::vector<write_batch> both{{{table::entities, b("one"), 0, b("first"), false, false, read_at}},
                                      {{table::entities, b("one"), 0, b("second"), false, false, read_at}},
                                      {{table::entities, b("one"), 1, b("third"), false, false, read_at}}};
  const auto outcomes = store->write(both);
  EXPECT_OK(outcomes[0]);
  EXPECT_FALSE(outcomes[1]);
  EXPECT_OK(outcomes[2]);
  EXPECT_EQ(store->get(table::entities, b("one")).value()->version, 2U);
}

/// The version that a batch leaves does not count for the next batch of the same write if it loses.
TEST(recent_writes, do_not_believe_a_batch_that_lost) {
  const test::temporary_folder folder;
  const auto under = open_rocksdb_store(folder / "store").value();
  const auto protector = test::key_file_protector(random_source());
  const auto store = sealed_store::open(*under, *protector, random_source()).value();
  const auto row = seal(table::entities, "one", "1");
  EXPECT_OK(store->write({row}));
  const std::vector<sealed_batch> both{
      {row, {table::entities, b("two"), secret_bytes{}, 7}},  // two has no version 7
      {seal(table::entities, "one", "2")}};
  const auto outcomes = store->write_all(both);
  ASSERT_FALSE(outcomes[0]);
  EXPECT_EQ(outcomes[0].error(), errc::store_conflict);
  EXPECT_OK(outcomes[1]);
  const auto found = store->read_one(table::entities, as_bytes("one")).value();
  EXPECT_EQ(found.version, 2U) << "one of two writes took effect";
}

}  // namespace
}  // namespace cpns::storage::testing
