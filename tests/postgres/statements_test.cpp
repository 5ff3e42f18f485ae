// Versions, conflicts and the order of writes, with both sets of statements.

#include <algorithm>

#include "storage/postgres/statements.hpp"
#include "tests/postgres/support.hpp"

namespace cpns::storage::testing {
namespace {

class postgres_statements_of : public ::testing::TestWithParam<postgres_statements> {
 protected:
  postgres_statements_of() : settings_(server().fresh_store()) {
    settings_.statements = GetParam();
    store_ = open(settings_);
  }
  postgres_settings settings_;
  std::unique_ptr<store> store_;
};

TEST_P(postgres_statements_of, raises_the_version_with_each_write) {
  EXPECT_EQ(read(*store_, "ann"), "(none)");
  EXPECT_EQ(outcomes(*store_, {{put("ann", 0, "a")}}), "ok");
  EXPECT_EQ(read(*store_, "ann"), "1:a");
  EXPECT_EQ(outcomes(*store_, {{put("ann", 1, "")}}), "ok");
  EXPECT_EQ(read(*store_, "ann"), "2:");
}

TEST_P(postgres_statements_of, refuses_a_write_that_expects_another_version) {
  ASSERT_EQ(outcomes(*store_, {{put("ann", 0, "a")}, {put("bob", 0, "b")}}), "ok ok");
  EXPECT_EQ(
      outcomes(*store_,
               {{put("ann", 0, "x")}, {put("bob", 1, "c")}, {put("eve", 0, "e")}, {put("ann", 2, "x")}}),
      "conflict ok ok conflict");
  EXPECT_EQ(read(*store_, "ann") + read(*store_, "bob") + read(*store_, "eve"), "1:a2:c1:e");
}

TEST_P(postgres_statements_of, inserts_no_row_that_a_writer_knows_and_that_is_gone) {
  EXPECT_EQ(outcomes(*store_, {{put("ann", 7, "a")}}), "conflict");
  EXPECT_EQ(read(*store_, "ann"), "(none)");
}

TEST_P(postgres_statements_of, gives_a_row_without_version_its_first) {
  server().sql(settings_.database, "INSERT INTO cpns_users VALUES ('ann', 0, 'old'), ('bob', 0, 'old')");
  EXPECT_EQ(read(*store_, "ann"), "0:old");
  EXPECT_EQ(outcomes(*store_, {{put("ann", 0, "new")}, {erase("bob", 0)}}), "ok ok");
  EXPECT_EQ(read(*store_, "ann") + read(*store_, "bob"), "1:new(none)");
}

TEST_P(postgres_statements_of, removes_a_row_of_the_expected_version) {
  ASSERT_EQ(outcomes(*store_, {{put("ann", 0, "a")}, {put("bob", 0, "b")}}), "ok ok");
  EXPECT_EQ(outcomes(*store_, {{erase("ann", 1)}, {erase("bob", 2)}, {erase("eve", 0)}, {erase("dan", 1)}}),
            "ok conflict ok conflict");
  EXPECT_EQ(outcomes(*store_, {{erase("bob", 0)}}), "conflict") << "it has a version";
  EXPECT_EQ(read(*store_, "ann") + read(*store_, "bob"), "(none)1:b");
}

TEST_P(postgres_statements_of, changes_all_rows_of_a_batch_or_none) {
  ASSERT_EQ(outcomes(*store_, {{put("ann", 0, "a")}}), "ok");
  const write_batch lost{put("bob", 0, "b"), put("ann", 0, "x"), put("eve", 0, "e", table::devices)};
  EXPECT_EQ(outcomes(*store_, {lost}), "conflict");
  EXPECT_EQ(read(*store_, "bob") + read(*store_, "eve", table::devices), "(none)(none)");
  const write_batch won{put("bob", 0, "b"), put("ann", 1, "x"), put("eve", 0, "e", table::devices),
                        erase("dan", 0)};
  EXPECT_EQ(outcomes(*store_, {won, {put("zoe", 0, "z")}}), "ok ok");
  EXPECT_EQ(read(*store_, "bob") + read(*store_, "ann") + read(*store_, "eve", table::devices), "1:b2:x1:e");
}

TEST_P(postgres_statements_of, shows_each_batch_the_ones_before_it) {
  EXPECT_EQ(outcomes(*store_, {{put("ann", 0, "1")},
                               {put("bob", 0, "1")},
                               {put("ann", 1, "2")},
                               {put("ann", 2, "3"), put("bob", 1, "2")},
                               {put("ann", 2, "lost")},
                               {erase("bob", 2)},
                               {put("bob", 0, "again")},
                               {}}),
            "ok ok ok ok conflict ok ok ok");
  EXPECT_EQ(read(*store_, "ann") + " " + read(*store_, "bob"), "3:3 1:again");
}

TEST_P(postgres_statements_of, refuses_a_batch_with_two_ops_on_a_row_and_writes_the_others) {
  EXPECT_EQ(outcomes(*store_, {{put("ann", 0, "a"), put("ann", 1, "b")}, {put("bob", 0, "b")}}),
            "store_write_failed ok");
  EXPECT_EQ(read(*store_, "ann"), "(none)");
}

TEST_P(postgres_statements_of, reads_many_rows_of_many_tables_in_the_order_of_their_names) {
  ASSERT_EQ(outcomes(*store_, {{put("ann", 0, "a")}, {put("ann", 0, "d", table::devices)}}), "ok ok");
  const std::vector<row_name> names{{table::devices, b("ann")},
                                    {table::users, b("nobody")},
                                    {table::users, b("ann")},
                                    {table::devices, b("ann")}};
  const auto got = store_->read(names);
  ASSERT_TRUE(got) << got.error().message();
  ASSERT_EQ(got->size(), 4U);
  EXPECT_EQ(as_text((*got)[0]->value), "d");
  EXPECT_FALSE((*got)[1]);
  EXPECT_EQ(as_text((*got)[2]->value), "a");
  EXPECT_EQ(as_text((*got)[3]->value), "d");
  EXPECT_TRUE(store_->read({})->empty());
}

TEST_P(postgres_statements_of, keeps_all_byte_values_and_the_largest_rows) {
  bytes all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::uint8_t>(i));
  const std::string most_row(max_row_size, '\xff'), most(max_value_size, 'v');
  EXPECT_EQ(outcomes(*store_, {{{table::meta, all, 0, all}}, {put(most_row, 0, most)}}), "ok ok");
  EXPECT_EQ(store_->get(table::meta, all)->value().value, all);
  EXPECT_EQ(read(*store_, most_row), "1:" + most);
  int seen = 0;
  EXPECT_TRUE(store_->scan(table::users, as_bytes("\xff\xff"),
                           [&](const stored_row& r) { return ++seen, r.version == 1; }));
  EXPECT_EQ(seen, 1);
}

TEST_P(postgres_statements_of, visits_thousands_of_rows_in_byte_order_and_lets_the_visitor_write) {
  std::vector<write_batch> batches;
  for (int i = 0; i < 3000; ++i)
    batches.push_back({put("r" + std::to_string(10'000 + i), 0, std::string(300, 'v'))});
  for (const auto& o : store_->write(batches)) ASSERT_TRUE(o) << o.error().message();
  std::vector<std::string> order;
  ASSERT_TRUE(store_->scan(table::users, as_bytes("r1"), [&](const stored_row& r) {
    order.emplace_back(as_text(r.row));
    return order.size() != 5 || store_->write_one({put(order.back(), 1, "changed")}).has_value();
  }));
  EXPECT_EQ(order.size(), 3000U);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
  const auto slice = store_->slice(table::users, as_bytes("r12998"), 10);
  ASSERT_TRUE(slice);
  ASSERT_EQ(slice->size(), 1U) << "behind the name, which is not in it";
  EXPECT_EQ(as_text(slice->front().row), "r12999");
}

/// Without statistics PostgreSQL would read a small table in its own order, and lock the rows in that order.
TEST(postgres_batch_statements, lock_rows_in_the_order_of_their_array_in_a_table_without_statistics) {
  const auto s = server().fresh_store();
  const auto on = postgres::connection::dial(s, 0);
  ASSERT_TRUE(on) << said(on);
  const auto op = put("ann", 1, "x");
  const write_op* const ops[] = {&op};
  const auto sql = postgres::make_statements(postgres_statements::batch);
  const auto updates = sql->write(ops);
  ASSERT_EQ(updates.size(), 1U);
  const postgres::statement explained{"", "EXPLAIN (COSTS OFF) " + updates.front().what.what->sql};
  const postgres::query q{&explained, updates.front().what.parameters};
  const auto replies = (*on)->run({&q, 1}, seconds(5));
  ASSERT_TRUE(replies) << said(replies);
  std::string plan;
  for (int i = 0; i < PQntuples(replies->front().get()); ++i)
    plan += std::string(as_text(postgres::bytes_at(replies->front(), i, 0))) + "\n";
  const auto loop = plan.find("Nested Loop"), array = plan.find("Function Scan on n"),
             index = plan.find("Index Scan using");
  EXPECT_TRUE(loop < array && array < index && index != std::string::npos) << plan;
}

INSTANTIATE_TEST_SUITE_P(kinds, postgres_statements_of,
                         ::testing::Values(postgres_statements::batch, postgres_statements::portable),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

}  // namespace
}  // namespace cpns::storage::testing
