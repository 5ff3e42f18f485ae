// The contract of storage::store, tested with each implementation, bare and sealed.

#include "storage/memory_store.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/store.hpp"
#include "support.hpp"

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
  result<std::optional<bytes>> get(table t, byte_view row) const override {
    CPNS_TRY(const auto value, sealed_->get(t, row));
    if (!value) return std::optional<bytes>{};
    return std::optional<bytes>(to_bytes(value->expose()));
  }
  status write(const write_batch& batch) override {
    sealed_batch sealed;
    for (const auto& op : batch) {
      auto& out = sealed.emplace_back(sealed_op{op.table, op.row, std::nullopt});
      if (op.value) out.value = secret_bytes(byte_view(*op.value));
    }
    return sealed_->write(sealed);
  }
  status scan(table t, byte_view prefix, const row_visitor& visit) const override {
    return sealed_->scan(
        t, prefix, [&](byte_view row, const secret_bytes& value) { return visit(row, value.expose()); });
  }
  /// Stored names are not those of the rows: pages of a sealed store have tests of their own.
  result<std::vector<stored_row>> slice(table, byte_view, std::size_t) const override {
    return fail(errc::internal, "no slices of a sealed store");
  }

 private:
  std::unique_ptr<store> under_;
  std::unique_ptr<sealed_store> sealed_;
};

struct kind {
  const char* name;
  bool on_disk;
  bool sealed;
};

class every_store : public ::testing::TestWithParam<kind> {
 protected:
  every_store() {
    std::unique_ptr<store> bare = std::make_unique<memory_store>();
    if (GetParam().on_disk) {
      auto opened = open_rocksdb_store(folder_ / "store");
      if (!opened) std::abort();
      bare = std::move(*opened);
    }
    if (GetParam().sealed)
      store_ = std::make_unique<sealed_view>(std::move(bare), folder_ / "key");
    else
      store_ = std::move(bare);
  }
  temporary_folder folder_;
  std::unique_ptr<store> store_;
};

TEST_P(every_store, returns_the_written_value) {
  ASSERT_OK(store_->write({put(table::users, "ann", "1"), put(table::users, "empty", "")}));
  EXPECT_EQ(read(*store_, table::users, "ann"), "1");
  EXPECT_EQ(read(*store_, table::users, "empty"), "");
  EXPECT_EQ(read(*store_, table::users, "bob"), "(none)");
}

TEST_P(every_store, replaces_and_erases_rows) {
  ASSERT_OK(store_->write({put(table::users, "ann", "1"), put(table::users, "bob", "2")}));
  ASSERT_OK(
      store_->write({put(table::users, "ann", "3"), erase(table::users, "bob"), erase(table::users, "eve")}));
  EXPECT_EQ(scan(*store_, table::users), (rows{{"ann", "3"}}));
}

TEST_P(every_store, applies_the_later_op_on_a_row) {
  ASSERT_OK(
      store_->write({put(table::users, "a", "1"), put(table::users, "a", "2"), put(table::users, "b", "1"),
                     erase(table::users, "b"), erase(table::users, "c"), put(table::users, "c", "1")}));
  EXPECT_EQ(scan(*store_, table::users), (rows{{"a", "2"}, {"c", "1"}}));
}

TEST_P(every_store, keeps_tables_apart) {
  ASSERT_OK(store_->write({put(table::users, "x", "user"), put(table::devices, "x", "device")}));
  EXPECT_EQ(read(*store_, table::users, "x"), "user");
  EXPECT_EQ(read(*store_, table::devices, "x"), "device");
  EXPECT_EQ(read(*store_, table::peers, "x"), "(none)");
  EXPECT_EQ(scan(*store_, table::devices), (rows{{"x", "device"}}));
}

TEST_P(every_store, scans_a_prefix_and_stops_when_the_visitor_returns_false) {
  ASSERT_OK(
      store_->write({put(table::peers, "a", "1"), put(table::peers, "ab", "2"), put(table::peers, "abc", "3"),
                     put(table::peers, "b", "4"), put(table::requests, "ab", "5")}));
  EXPECT_EQ(scan(*store_, table::peers, "ab"), (rows{{"ab", "2"}, {"abc", "3"}}));
  EXPECT_EQ(scan(*store_, table::peers, "c"), rows{});
  EXPECT_EQ(scan(*store_, table::peers).size(), 4U);
  int seen = 0;
  ASSERT_OK(store_->scan(table::peers, {}, [&seen](byte_view, byte_view) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

TEST_P(every_store, accepts_all_byte_values) {
  bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  const bytes high(3, 0xff);
  ASSERT_OK(store_->write({{table::meta, all, all}, {table::revocations, high, all}}));
  const auto got = store_->get(table::meta, all);
  ASSERT_OK(got);
  EXPECT_EQ(got->value(), all);
  EXPECT_EQ(scan(*store_, table::revocations, std::string(2, '\xff')).size(), 1U);
}

TEST_P(every_store, refuses_the_whole_batch_when_one_op_is_out_of_bounds) {
  const std::string long_row(max_row_size + 1, 'r');
  const std::string large(max_value_size + 1, 'v');
  EXPECT_EQ(code(store_->write({put(table::users, "a", "1"), put(table::users, "", "x")})),
            "store_write_failed");
  EXPECT_EQ(code(store_->write({put(table::users, "a", "1"), put(table::users, long_row, "x")})),
            "store_write_failed");
  EXPECT_EQ(code(store_->write({put(table::users, "a", "1"), put(table::users, "b", large)})),
            "store_write_failed");
  EXPECT_EQ(scan(*store_, table::users), rows{});
  const std::string most_row(max_row_size, 'r');
  const std::string most(max_sealed_value_size, 'v');
  ASSERT_OK(store_->write({put(table::users, most_row, most)}));
  EXPECT_EQ(read(*store_, table::users, most_row), most);
}

TEST_P(every_store, may_be_called_while_it_is_scanned) {
  ASSERT_OK(store_->write({put(table::users, "a", "1"), put(table::users, "b", "2")}));
  ASSERT_OK(store_->scan(table::users, {}, [&](byte_view row, byte_view) {
    EXPECT_OK(store_->write({{table::users, to_bytes(row), std::nullopt}, put(table::devices, "d", "1")}));
    EXPECT_EQ(read(*store_, table::users, as_text(row)), "(none)");
    return true;
  }));
  EXPECT_EQ(scan(*store_, table::users), rows{});
}

INSTANTIATE_TEST_SUITE_P(stores, every_store,
                         ::testing::Values(kind{"memory", false, false}, kind{"rocksdb", true, false},
                                           kind{"sealed_memory", false, true},
                                           kind{"sealed_rocksdb", true, true}),
                         [](const auto& tested) { return tested.param.name; });

class bare_store : public every_store {};

TEST_P(bare_store, scans_in_byte_order) {
  ASSERT_OK(store_->write({put(table::peers, "b", ""), put(table::peers, "\xff", ""),
                           put(table::peers, "a", ""), put(table::peers, "aa", "")}));
  std::string order;
  ASSERT_OK(store_->scan(table::peers, {}, [&order](byte_view row, byte_view) {
    order += std::string(as_text(row)) + ".";
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
  ASSERT_OK(store_->write({put(table::users, "z", ""), put(table::devices, "b", "2"),
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
    ASSERT_OK(store_->write({put(table::devices, row, large)}));
  EXPECT_EQ(slice_text(*store_, table::devices, "", 100), "a.b.c.d.");
  EXPECT_EQ(slice_text(*store_, table::devices, "d", 100), "e.f.");
}

INSTANTIATE_TEST_SUITE_P(stores, bare_store,
                         ::testing::Values(kind{"memory", false, false}, kind{"rocksdb", true, false}),
                         [](const auto& tested) { return tested.param.name; });

TEST(tables, have_distinct_names) {
  std::map<std::string_view, int> names;
  for (const auto t : all_tables) ++names[name_of(t)];
  EXPECT_EQ(names.size(), std::size(all_tables));
  EXPECT_EQ(names.count("unknown"), 0U);
}

}  // namespace
}  // namespace cpns::storage::testing
