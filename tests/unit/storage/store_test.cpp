// The contract of storage::store, tested with each implementation, bare and sealed.

#include <thread>

#include "storage/store.hpp"
#include "support.hpp"
#include "tests/support/engines.hpp"

namespace cpns::storage::testing {
namespace {

/// Adapts a sealed store to the interface of a store, to run the same tests on both.
class sealed_view final : public store {
 public:
  sealed_view(std::unique_ptr<store> under, const std::filesystem::path& key_file)
      : under_(std::move(under)) {
    if (!create_key_file(key_file, crypto::system_entropy())) std::abort();
    auto protector = open_key_file(key_file);
    if (!protector) std::abort();
    auto opened = sealed_store::open(*under_, **protector, crypto::system_entropy());
    if (!opened) std::abort();
    sealed_ = std::move(*opened);
  }
  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override {
    std::vector<std::optional<stored_value>> out;
    for (auto& found : sealed_->read(names)) {
      if (!found) return fail(found.error());
      out.emplace_back();
      if (found->value) out.back() = stored_value{found->version, to_bytes(found->value->expose())};
    }
    return out;
  }
  std::vector<status> write(std::span<const write_batch> batches) override {
    std::vector<sealed_batch> sealed;
    for (const auto& batch : batches) {
      auto& to = sealed.emplace_back();
      for (const auto& op : batch) {
        auto& out = to.emplace_back(sealed_op{op.table, op.row, std::nullopt, op.expected});
        if (op.value) out.value = secret_bytes(byte_view(*op.value));
        out.if_absent = op.if_absent;
        if (op.expected == 0) out.expected = version_of_erased(op);
      }
    }
    return sealed_->write_all(sealed);
  }
  status scan(table t, byte_view prefix, const row_visitor& visit) const override {
    return sealed_->scan(t, prefix, [&](byte_view row, const secret_bytes& value) {
      return visit({to_bytes(row), 0, to_bytes(value.expose())});
    });
  }
  /// Stored names are not those of the rows: pages of a sealed store have tests of their own.
  result<std::vector<stored_row>> slice(table, byte_view, std::size_t) const override {
    return fail(errc::internal, "no slices of a sealed store");
  }

 private:
  /// An erased row of a sealed store goes on counting.
  [[nodiscard]] std::uint64_t version_of_erased(const write_op& op) const {
    const auto now = sealed_->read_one(op.table, op.row);
    return now && !now->value ? now->version : 0;
  }
  std::unique_ptr<store> under_;
  std::unique_ptr<sealed_store> sealed_;
};

using test::engine;
using test::open_engine;

struct kind {
  const char* name;
  test::engine engine;
  bool sealed;
};

class every_store : public ::testing::TestWithParam<kind> {
 protected:
  every_store() {
    auto bare = open_engine(GetParam().engine, folder_ / "store");
    if (GetParam().sealed)
      store_ = std::make_unique<sealed_view>(std::move(bare), folder_ / "key");
    else
      store_ = std::move(bare);
  }
  temporary_folder folder_;
  std::unique_ptr<store> store_;
};

TEST_P(every_store, returns_the_written_value) {
  ASSERT_OK(write(*store_, {put(table::users, "ann", "1"), put(table::users, "empty", "")}));
  EXPECT_EQ(read(*store_, table::users, "ann"), "1");
  EXPECT_EQ(read(*store_, table::users, "empty"), "");
  EXPECT_EQ(read(*store_, table::users, "bob"), "(none)");
}

TEST_P(every_store, replaces_and_erases_rows) {
  ASSERT_OK(write(*store_, {put(table::users, "ann", "1"), put(table::users, "bob", "2")}));
  ASSERT_OK(write(*store_,
                  {put(table::users, "ann", "3"), erase(table::users, "bob"), erase(table::users, "eve")}));
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "3"}}));
}

TEST_P(every_store, gives_each_write_of_a_row_the_next_version) {
  for (std::uint64_t version = 0; version < 3; ++version) {
    ASSERT_OK(store_->write_one({{table::users, b("ann"), version, b(std::to_string(version))}}));
    const auto got = store_->get(table::users, as_bytes("ann"));
    ASSERT_OK(got);
    EXPECT_EQ(got->value().version, version + 1);
  }
}

TEST_P(every_store, refuses_the_write_of_a_row_that_has_another_version) {
  ASSERT_OK(write(*store_, {put(table::users, "ann", "1")}));
  for (const std::uint64_t expected : {0, 2, 7})
    EXPECT_EQ(code(store_->write_one({{table::users, b("ann"), expected, b("x")}})), "store_conflict")
        << expected;
  EXPECT_EQ(code(store_->write_one({{table::users, b("ann"), 2, std::nullopt}})), "store_conflict");
  EXPECT_EQ(code(store_->write_one({{table::users, b("eve"), 7, b("x")}})), "store_conflict")
      << "a row that does not exist";
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "1"}}));
}

/// A row with a list of its own, which is written if it is absent.
write_op listed(std::string_view row, std::string_view value) {
  return {table::imports, b(row), 0, b(value), true};
}

TEST_P(every_store, leaves_a_row_that_is_written_if_absent_as_it_is) {
  ASSERT_OK(store_->write_one({{table::users, b("ann"), 0, b("1")}, listed("a", "1")}));
  ASSERT_OK(store_->write_one({{table::users, b("ann"), 1, b("2")}, listed("a", "2"), listed("b", "2")}));
  const std::vector<write_batch> group{{listed("b", "3"), listed("c", "3")},
                                       {{table::users, b("ann"), 2, b("3")}, listed("c", "4")},
                                       {listed("d", "5")}};
  for (const auto& done : store_->write(group)) ASSERT_OK(done);
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "3"}}));
  EXPECT_EQ(scan(*store_, table::imports), (rows{{"a", "1"}, {"b", "2"}, {"c", "3"}, {"d", "5"}}));
}

TEST_P(every_store, refuses_a_batch_by_its_other_rows_when_one_is_written_if_absent) {
  ASSERT_OK(write(*store_, {put(table::users, "ann", "1")}));
  const std::vector<write_batch> group{
      {{table::users, b("ann"), 7, b("2")}, listed("a", "2")},
      {{table::users, b("ann"), 1, b("3")}, {table::devices, b("d"), 7, b("3")}, listed("a", "3")}};
  for (const auto& done : store_->write(group)) EXPECT_EQ(code(done), "store_conflict");
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "1"}}));
  ASSERT_OK(store_->write_one({{table::users, b("ann"), 1, b("4")}, listed("a", "4")}));
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "4"}}));
  EXPECT_EQ(scan(*store_, table::imports).count("a"), 1U);
}

TEST_P(every_store, writes_a_row_again_that_was_removed) {
  ASSERT_OK(store_->write_one({listed("a", "1")}));
  ASSERT_OK(store_->write_one({{table::imports, b("a"), 1, std::nullopt}}));
  EXPECT_EQ(scan(*store_, table::imports), rows{});
  ASSERT_OK(store_->write_one({listed("a", "2")}));
  EXPECT_EQ(scan(*store_, table::imports), (rows{{"a", "2"}}));
}

TEST_P(every_store, writes_nothing_of_a_batch_that_lost) {
  ASSERT_OK(write(*store_, {put(table::users, "ann", "1"), put(table::devices, "d", "1")}));
  EXPECT_EQ(code(store_->write_one({{table::devices, b("d"), 1, b("2")},
                                    {table::users, b("ann"), 0, b("2")},
                                    {table::users, b("bob"), 0, b("2")}})),
            "store_conflict");
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "1"}}));
  EXPECT_EQ(scan(*store_, table::devices), (rows{{"d", "1"}}));
}

TEST_P(every_store, applies_the_batches_of_a_call_in_order_and_each_for_itself) {
  const std::vector<write_batch> batches{
      {{table::users, b("ann"), 0, b("1")}},
      {{table::users, b("ann"), 1, b("2")}, {table::users, b("bob"), 0, b("1")}},
      {{table::users, b("ann"), 1, b("late")}},
      {},
      {{table::users, b("eve"), 0, b("1")}},
      {{table::users, b("ann"), 2, b("3")}}};
  std::string outcomes;
  for (const auto& s : store_->write(batches)) outcomes += code(s) + " ";
  EXPECT_EQ(outcomes, "ok ok store_conflict ok ok ok ");
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "3"}, {"bob", "1"}, {"eve", "1"}}));
}

TEST_P(every_store, reads_many_rows_of_many_tables_in_order) {
  ASSERT_OK(write(*store_, {put(table::users, "x", "user"), put(table::devices, "y", "device")}));
  const std::vector<row_name> names{
      {table::devices, b("y")}, {table::users, b("y")}, {table::users, b("x")}, {table::devices, b("y")}};
  const auto got = store_->read(names);
  ASSERT_OK(got);
  ASSERT_EQ(got->size(), 4U);
  EXPECT_EQ(got->at(0)->value, b("device"));
  EXPECT_FALSE(got->at(1));
  EXPECT_EQ(got->at(2)->value, b("user"));
  EXPECT_EQ(got->at(3)->value, b("device"));
  EXPECT_TRUE(store_->read({})->empty());
}

TEST_P(every_store, lets_each_version_have_one_writer) {
  constexpr int writers = 4, wins_each = 50;
  std::vector<std::thread> threads;
  for (int i = 0; i < writers; ++i)
    threads.emplace_back([this] {
      for (int won = 0; won < wins_each;) won += write(*store_, {put(table::users, "ann", "v")}) ? 1 : 0;
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(store_->get(table::users, as_bytes("ann"))->value().version, std::uint64_t{writers} * wins_each);
}

TEST_P(every_store, keeps_tables_apart) {
  ASSERT_OK(write(*store_, {put(table::users, "x", "user"), put(table::devices, "x", "device")}));
  EXPECT_EQ(read(*store_, table::users, "x"), "user");
  EXPECT_EQ(read(*store_, table::devices, "x"), "device");
  EXPECT_EQ(read(*store_, table::peers, "x"), "(none)");
  EXPECT_EQ(scan(*store_, table::devices), (rows{{"x", "device"}}));
}

TEST_P(every_store, scans_a_prefix_and_stops_when_the_visitor_returns_false) {
  ASSERT_OK(write(*store_,
                  {put(table::peers, "a", "1"), put(table::peers, "ab", "2"), put(table::peers, "abc", "3"),
                   put(table::peers, "b", "4"), put(table::requests, "ab", "5")}));
  EXPECT_EQ(scan(*store_, table::peers, "ab"), (rows{{"ab", "2"}, {"abc", "3"}}));
  EXPECT_EQ(scan(*store_, table::peers, "c"), rows{});
  EXPECT_EQ(scan(*store_, table::peers).size(), 4U);
  int seen = 0;
  ASSERT_OK(store_->scan(table::peers, {}, [&seen](const stored_row&) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

TEST_P(every_store, accepts_all_byte_values) {
  bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  const bytes high(3, 0xff);
  ASSERT_OK(store_->write_one({{table::meta, all, 0, all}, {table::revocations, high, 0, all}}));
  const auto got = store_->get(table::meta, all);
  ASSERT_OK(got);
  EXPECT_EQ(got->value().value, all);
  EXPECT_EQ(scan(*store_, table::revocations, std::string(2, '\xff')).size(), 1U);
}

TEST_P(every_store, refuses_the_whole_batch_when_one_op_is_out_of_bounds) {
  const std::string long_row(max_row_size + 1, 'r');
  const std::string large(max_value_size + 1, 'v');
  EXPECT_EQ(code(write(*store_, {put(table::users, "a", "1"), put(table::users, "", "x")})),
            "store_write_failed");
  EXPECT_EQ(code(write(*store_, {put(table::users, "a", "1"), put(table::users, long_row, "x")})),
            "store_write_failed");
  EXPECT_EQ(code(write(*store_, {put(table::users, "a", "1"), put(table::users, "b", large)})),
            "store_write_failed");
  EXPECT_EQ(scan(*store_, table::users), rows{});
  const std::string most_row(max_row_size, 'r');
  const std::string most(max_sealed_value_size, 'v');
  ASSERT_OK(write(*store_, {put(table::users, most_row, most)}));
  EXPECT_EQ(read(*store_, table::users, most_row), most);
}

TEST_P(every_store, may_be_called_while_it_is_scanned) {
  ASSERT_OK(write(*store_, {put(table::users, "a", "1"), put(table::users, "b", "2")}));
  ASSERT_OK(store_->scan(table::users, {}, [&](const stored_row& row) {
    EXPECT_OK(write(*store_, {erase(table::users, as_text(row.row)), put(table::devices, "d", "1")}));
    EXPECT_EQ(read(*store_, table::users, as_text(row.row)), "(none)");
    return true;
  }));
  EXPECT_EQ(scan(*store_, table::users), rows{});
}

INSTANTIATE_TEST_SUITE_P(stores, every_store,
                         ::testing::Values(kind{"memory", engine::memory, false},
                                           kind{"rocksdb", engine::rocksdb, false},
                                           kind{"postgres_batch", engine::postgres_batch, false},
                                           kind{"postgres_portable", engine::postgres_portable, false},
                                           kind{"sealed_memory", engine::memory, true},
                                           kind{"sealed_rocksdb", engine::rocksdb, true},
                                           kind{"sealed_postgres_batch", engine::postgres_batch, true},
                                           kind{"sealed_postgres_portable", engine::postgres_portable, true}),
                         [](const auto& tested) { return tested.param.name; });

class bare_store : public every_store {};

/// Of two ops on one row a sealed store takes the last one.
TEST_P(bare_store, refuses_a_batch_that_names_a_row_twice_and_writes_the_others_of_the_call) {
  ASSERT_OK(write(*store_, {put(table::users, "ann", "1")}));
  const write_batch twice[] = {
      {{table::users, b("bob"), 0, b("1")}, {table::users, b("bob"), 1, b("2")}},
      {{table::users, b("ann"), 1, b("2")}, {table::users, b("ann"), 2, std::nullopt}},
      {listed("eve", "1"), listed("eve", "1")}};
  for (const auto& batch : twice) {
    const std::vector<write_batch> batches{
        {{table::devices, b("first"), 0, b("1")}}, batch, {{table::devices, b("last"), 0, b("1")}}};
    const auto outcomes = store_->write(batches);
    ASSERT_EQ(outcomes.size(), 3U);
    EXPECT_EQ(code(outcomes[0]) + " " + code(outcomes[1]) + " " + code(outcomes[2]),
              "ok store_write_failed ok");
    EXPECT_NE(outcomes[1].error().detail.find("two ops on one row"), std::string::npos);
    EXPECT_EQ(scan(*store_, table::devices), (rows{{"first", "1"}, {"last", "1"}}));
    ASSERT_OK(write(*store_, {erase(table::devices, "first"), erase(table::devices, "last")}));
  }
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "1"}}));
  EXPECT_EQ(scan(*store_, table::imports), rows{});
}

TEST_P(bare_store, scans_in_byte_order) {
  ASSERT_OK(write(*store_, {put(table::peers, "b", ""), put(table::peers, "\xff", ""),
                            put(table::peers, "a", ""), put(table::peers, "aa", "")}));
  std::string order;
  ASSERT_OK(store_->scan(table::peers, {}, [&order](const stored_row& row) {
    order += std::string(as_text(row.row)) + ".";
    return true;
  }));
  EXPECT_EQ(order, "a.aa.b.\xff.");
}

/// "a.b." for the rows a and b.
std::string slice_text(const store& s, table t, std::string_view after, std::size_t limit) {
  const auto got = s.slice(t, as_bytes(after), limit);
  EXPECT_OK(got);
  std::string out;
  if (got)
    for (const auto& r : *got) out += std::string(as_text(r.row)) + ".";
  return out;
}

TEST_P(bare_store, slices_a_table_in_byte_order_after_a_name) {
  ASSERT_OK(write(*store_, {put(table::users, "z", ""), put(table::devices, "b", "2"),
                            put(table::devices, "a", "1"), put(table::devices, "\xff", "4"),
                            put(table::devices, "bb", "3"), put(table::entities, "a", "")}));
  EXPECT_EQ(slice_text(*store_, table::devices, "", 10), "a.b.bb.\xff.") << "of its own table alone";
  EXPECT_EQ(slice_text(*store_, table::devices, "", 2), "a.b.");
  EXPECT_EQ(slice_text(*store_, table::devices, "b", 2), "bb.\xff.") << "not the row itself";
  EXPECT_EQ(slice_text(*store_, table::devices, "ba", 1), "bb.") << "the name need not exist";
  EXPECT_EQ(slice_text(*store_, table::devices, "\xff", 10), "");
  EXPECT_EQ(slice_text(*store_, table::requests, "", 10), "");
  EXPECT_EQ(as_text(store_->slice(table::devices, as_bytes("a"), 1).value().at(0).value), "2");
}

TEST_P(bare_store, ends_a_slice_at_its_bound_of_bytes_but_not_before_its_first_row) {
  const std::string large(max_value_size, 'v');
  for (const auto* row : {"a", "b", "c", "d", "e", "f"})
    ASSERT_OK(write(*store_, {put(table::devices, row, large)}));
  EXPECT_EQ(slice_text(*store_, table::devices, "", 100), "a.b.c.d.");
  EXPECT_EQ(slice_text(*store_, table::devices, "d", 100), "e.f.");
}

INSTANTIATE_TEST_SUITE_P(stores, bare_store,
                         ::testing::Values(kind{"memory", engine::memory, false},
                                           kind{"rocksdb", engine::rocksdb, false},
                                           kind{"postgres_batch", engine::postgres_batch, false},
                                           kind{"postgres_portable", engine::postgres_portable, false}),
                         [](const auto& tested) { return tested.param.name; });

TEST(tables, have_distinct_names) {
  std::map<std::string_view, int> names;
  for (const auto t : all_tables) ++names[name_of(t)];
  EXPECT_EQ(names.size(), std::size(all_tables));
  EXPECT_EQ(names.count("unknown"), 0U);
}

}  // namespace
}  // namespace cpns::storage::testing
