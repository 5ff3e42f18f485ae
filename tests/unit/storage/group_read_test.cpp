#include "storage/group_read.hpp"

#include <future>

#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

class group_read : public ::testing::Test {
 protected:
  group_read() : under_(memory_) {
    EXPECT_OK(create_key_file(dir_ / "kek", random_source()));
    const auto protector = open_key_file(dir_ / "kek");
    store_ = std::move(sealed_store::open(under_, **protector, random_source()).value());
    EXPECT_OK(store_->write({seal(table::users, "ann", "1"), seal(table::devices, "d", "2")}));
  }
  /// "1 (none)" for the values of the rows in order.
  static std::string text(const rows_found& rows) {
    std::string out;
    for (const auto& r : rows) {
      out += out.empty() ? "" : " ";
      out += !r ? code(r) : r->value ? std::string(as_text(r->value->expose())) : "(none)";
    }
    return out;
  }
  static std::string read(group_reader& r, std::vector<row_name> names) {
    std::promise<std::string> done;
    r.submit(std::move(names), [&done](const rows_found& rows) { done.set_value(text(rows)); });
    return done.get_future().get();
  }
  temporary_folder dir_;
  memory_store memory_;
  faulty_store under_;
  std::unique_ptr<sealed_store> store_;
};

TEST_F(group_read, finds_rows_of_several_tables_in_the_order_of_the_request) {
  group_reader r(*store_);
  EXPECT_EQ(read(r, {{table::devices, b("d")}, {table::users, b("eve")}, {table::users, b("ann")}}),
            "2 (none) 1");
  EXPECT_EQ(read(r, {}), "");
}

TEST_F(group_read, fails_the_row_that_cannot_be_decrypted_alone) {
  ASSERT_OK(memory_.scan(table::users, {}, [this](const stored_row& row) {
    memory_.put_back(table::users, row.row, stored_value{row.version, b("not sealed")});
    return true;
  }));
  group_reader r(*store_);
  EXPECT_EQ(read(r, {{table::users, b("ann")}, {table::devices, b("d")}}), "store_sealed 2");
}

TEST_F(group_read, fails_all_rows_while_the_store_cannot_be_read) {
  group_reader r(*store_);
  under_.fail_reads(errc::store_unavailable);
  EXPECT_EQ(read(r, {{table::users, b("ann")}, {table::devices, b("d")}}),
            "store_unavailable store_unavailable");
  under_.repair();
  EXPECT_EQ(read(r, {{table::users, b("ann")}}), "1");
}

TEST_F(group_read, answers_in_the_order_of_the_calls_and_refuses_over_its_bound) {
  std::vector<std::string> seen;  // written by the reader's thread, read after its end
  std::string refused;
  {
    std::promise<void> reached, go_on;
    group_reader r(*store_, {2, 1});
    r.submit({{table::users, b("ann")}}, [&](const rows_found&) {
      reached.set_value();
      go_on.get_future().wait();
    });
    reached.get_future().wait();
    for (const auto* row : {"ann", "eve"})
      r.submit({{table::users, b(row)}},
               [&seen, row](const rows_found& f) { seen.push_back(row + (" " + text(f))); });
    r.submit({{table::users, b("ann")}}, [&refused](const rows_found& f) { refused = text(f); });
    EXPECT_EQ(refused, "state_overloaded");
    go_on.set_value();
    EXPECT_EQ(read(r, {}), "") << "after all others";
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"ann 1", "eve (none)"}));
}

TEST_F(group_read, answers_each_read_when_it_is_destroyed) {
  std::vector<std::string> outcomes;
  {
    group_reader r(*store_, {1000, 1});
    for (int i = 0; i < 100; ++i)
      r.submit({{table::users, b("ann")}}, [&outcomes](const rows_found& f) { outcomes.push_back(text(f)); });
  }
  EXPECT_EQ(outcomes.size(), 100U);
  for (const auto& o : outcomes) EXPECT_TRUE(o == "1" || o == "state_stopping") << o;
}

}  // namespace
}  // namespace cpns::storage::testing
