// Groups of the table `indexes`: pages of the members of one group, and what their stored names show.

#include <algorithm>
#include <set>

#include "base/cbor.hpp"
#include "crypto/suite.hpp"
#include "storage/index_name.hpp"
#include "support.hpp"
#include "tests/support/engines.hpp"

namespace cpns::storage::testing {
namespace {

const index_group ann{1, b("ann")}, bob{1, b("bob")}, other_index{2, b("ann")};

sealed_op member_of(const index_group& g, std::string_view member) {
  return {table::indexes, index_row(g, as_bytes(member)), secret_bytes{}, std::nullopt, true};
}

class index_rows : public ::testing::TestWithParam<test::engine> {
 protected:
  index_rows() {
    EXPECT_OK(create_key_file(dir_ / "kek", random_source()));
    const auto key = open_key_file(dir_ / "kek");
    store_ = std::move(sealed_store::open(*under_, **key, random_source()).value());
  }
  void fill(const index_group& g, int count) {
    sealed_batch batch;
    for (int i = 0; i < count; ++i) batch.push_back(member_of(g, "entity " + std::to_string(i)));
    ASSERT_OK(store_->write(batch));
  }
  page_end read_page(const index_group& g, std::string_view after, std::size_t limit) {
    const auto page = store_->members(g, after, limit, [this](const error& e) { damaged_.push_back(e); });
    EXPECT_OK(page);
    if (!page) return {};
    EXPECT_LE(page->rows.size(), limit);
    for (const auto& r : page->rows) {
      EXPECT_EQ(r.version, 1U);
      EXPECT_TRUE(seen_.emplace(as_text(r.member)).second) << as_text(r.member);
    }
    return page->next;
  }
  std::vector<stored_row> stored() { return under_->slice(table::indexes, {}, 10'000).value(); }

  test::temporary_folder dir_;
  std::unique_ptr<store> under_ = test::open_engine(GetParam(), dir_ / "store");
  std::unique_ptr<sealed_store> store_;
  std::set<std::string> seen_;
  std::vector<error> damaged_;
};

TEST_P(index_rows, are_read_in_pages_of_one_group) {
  fill(ann, 250);
  fill(bob, 30);
  fill(other_index, 40);
  page_end end{std::string{}};
  std::size_t pages = 0;
  for (; end; ++pages) end = read_page(ann, *end, 100);
  EXPECT_EQ(pages, 3U);
  EXPECT_EQ(seen_.size(), 250U);
  seen_.clear();
  EXPECT_FALSE(read_page(bob, "", 30).has_value()) << "its last row is the last of the page";
  EXPECT_EQ(seen_.size(), 30U);
  seen_.clear();
  EXPECT_FALSE(read_page({1, b("eve")}, "", 10).has_value());
  EXPECT_TRUE(seen_.empty());
}

TEST_P(index_rows, are_written_once) {
  fill(ann, 10);
  const auto before = stored();
  fill(ann, 12);
  const auto after = stored();
  ASSERT_EQ(before.size(), 10U);
  ASSERT_EQ(after.size(), 12U);
  std::size_t same = 0;
  for (const auto& a : after)
    for (const auto& row : before) same += row.row == a.row && row.value == a.value ? 1 : 0;
  EXPECT_EQ(same, 10U) << "rows that were there keep their seal";
}

TEST_P(index_rows, refuse_a_place_that_is_not_the_end_of_a_page) {
  EXPECT_EQ(code(store_->members(ann, "zz", 10, [](const error&) {})), "config_range");
}

TEST_P(index_rows, are_read_from_the_place_of_any_of_them) {
  fill(ann, 10);
  const auto all = store_->members(ann, "", 10, [](const error&) {}).value();
  read_page(ann, all.rows[3].place, 10);
  EXPECT_EQ(seen_.size(), 6U);
  EXPECT_EQ(seen_.count(std::string(as_text(all.rows[3].member))), 0U);
}

TEST_P(index_rows, are_not_taken_from_another_group) {
  fill(ann, 1);
  auto moved = stored().front();
  fill(bob, 1);
  for (const auto& row : stored()) {
    if (row.row == moved.row) continue;
    std::copy(row.row.begin(), row.row.begin() + 32, moved.row.begin());
    ASSERT_OK(under_->write_one({{table::indexes, moved.row, 0, moved.value}}));
    break;
  }
  read_page(bob, "", 10);
  EXPECT_EQ(seen_.size(), 1U);
  ASSERT_EQ(damaged_.size(), 1U);
  EXPECT_EQ(damaged_.front().code, errc::store_sealed);
}

/// docs/protocol.md, "At rest", computed step by step.
TEST_P(index_rows, have_the_stored_names_of_the_protocol) {
  fill(ann, 1);
  const auto key = open_key_file(dir_ / "kek").value();
  const auto wrapped = under_->get(table::meta, as_bytes("data key")).value();
  const auto data_key = key->unwrap(wrapped->value, "cpns/1 store").value();
  const auto derived = [&](std::string_view label) {
    secret32 out;
    crypto::openssl_suite().expand(data_key, cbor::writer().array(1).tstr(label).view(),
                                   out.expose_mutable());
    return out;
  };
  const auto hmac = [](const secret32& k, const bytes& text) {
    return to_bytes(crypto::openssl_suite().hmac(k.expose(), text).expose());
  };
  auto name = hmac(derived("cpns/1 store indexes"), cbor::writer().array(2).uint(1).bstr(b("ann")).take());
  const auto plain = cbor::writer().array(3).uint(1).bstr(b("ann")).bstr(b("entity 0")).take();
  const auto own = hmac(derived("cpns/1 store rows"), cbor::writer().array(2).uint(13).bstr(plain).take());
  name.insert(name.end(), own.begin(), own.end());
  EXPECT_EQ(to_hex(stored().front().row), to_hex(name));
}

/// The stored names of groups are kept for the next rows, but not of so many.
TEST_P(index_rows, of_many_groups_are_found_by_another_process) {
  constexpr int groups = 300;
  const auto group = [](int n) { return index_group{1, b("group " + std::to_string(n))}; };
  for (int turn = 0; turn < 2; ++turn) {
    sealed_batch batch;
    for (int n = 0; n < groups; ++n) batch.push_back(member_of(group(n), "entity " + std::to_string(turn)));
    ASSERT_OK(store_->write(batch));
  }
  const auto key = open_key_file(dir_ / "kek");
  const auto other = std::move(sealed_store::open(*under_, **key, random_source()).value());
  for (int n = 0; n < groups; ++n) {
    const auto found = other->members(group(n), "", 10, [](const error& e) { ADD_FAILURE() << e.message(); });
    ASSERT_OK(found);
    EXPECT_EQ(found->rows.size(), 2U) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(engines, index_rows, test::every_engine(), test::engine_name);

TEST(index_name, is_refused_when_it_has_another_form) {
  const auto good = index_row(ann, as_bytes("e"));
  EXPECT_EQ(read_index_row(good)->member, b("e"));
  EXPECT_EQ(read_index_row(good)->group.name, b("ann"));
  for (const auto& bad : {bytes{}, b("ann"), encode(ann), index_row(ann, {}),
                          index_row(ann, bytes(index_member_max + 1)), bytes(good.begin(), good.end() - 1)})
    EXPECT_FALSE(read_index_row(bad) || group_in(bad)) << to_hex(bad);
}

TEST(index_name, has_the_encoded_group_in_it) {
  for (const auto& g : {ann, index_group{300, bytes(index_group_max, 7)}, index_group{4, {}}}) {
    const auto row = index_row(g, as_bytes("entity"));
    const auto found = group_in(row);
    ASSERT_TRUE(found);
    EXPECT_EQ(to_hex(cbor::writer().array(2).raw(*found).view()), to_hex(encode(g)));
  }
}

}  // namespace
}  // namespace cpns::storage::testing
