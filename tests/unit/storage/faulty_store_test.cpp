#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "support.hpp"

namespace cpns::storage::testing {
namespace {

TEST(faulty_store, fails_the_named_write_before_or_after_it_is_durable) {
  memory_store under;
  faulty_store s(under);
  s.fail_write(2, fault_point::before_durable);
  s.fail_write(3, fault_point::after_durable, errc::store_full);
  EXPECT_OK(write(s, {put(table::users, "a", "1")}));
  EXPECT_EQ(code(write(s, {put(table::users, "b", "1")})), "store_write_failed");
  EXPECT_EQ(code(write(s, {put(table::users, "c", "1")})), "store_full");
  EXPECT_OK(write(s, {put(table::users, "d", "1")}));
  EXPECT_EQ(scan(s, table::users), (rows{{"a", "1"}, {"c", "1"}, {"d", "1"}}));
  EXPECT_EQ(s.writes(), 4U);
}

TEST(faulty_store, fails_until_it_is_repaired) {
  memory_store under;
  faulty_store s(under);
  s.fail_writes(errc::store_full);
  s.fail_reads(errc::store_damaged);
  EXPECT_EQ(code(s.write_one({put(table::users, "a", "1")})), "store_full");
  EXPECT_EQ(code(s.get(table::users, as_bytes("a"))), "store_damaged");
  EXPECT_EQ(code(s.scan(table::users, {}, [](const stored_row&) { return true; })), "store_damaged");
  s.repair();
  EXPECT_OK(write(s, {put(table::users, "a", "2")}));
  EXPECT_EQ(read(s, table::users, "a"), "2");
}

TEST(faulty_store, fails_the_writes_of_one_row) {
  memory_store under;
  faulty_store s(under);
  s.fail_row(table::users, b("bad"));
  EXPECT_EQ(code(write(s, {put(table::users, "a", "1"), put(table::users, "bad", "1")})),
            "store_write_failed");
  EXPECT_OK(write(s, {put(table::devices, "bad", "1")}));
  EXPECT_EQ(scan(s, table::users), rows{});
}

}  // namespace
}  // namespace cpns::storage::testing
