#include "cli/terminal.hpp"

#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

class new_password : public test::temp_folder {};

TEST_F(new_password, has_a_minimum_length) {
  EXPECT_EQ(read_new_password({.file = write("a", "seven77\n")}).error().code, errc::config_range);
  EXPECT_TRUE(read_new_password({.file = write("b", "eight888\n")}));
}

TEST(table, has_columns_for_people_and_tabs_for_scripts) {
  table t{{"USER", "ADDED"}};
  EXPECT_EQ(t.for_scripts(), "");
  t.add({"alice@example.org", "2026-11-24"});
  t.add({"bob", "-"});
  EXPECT_EQ(t.for_scripts(), "alice@example.org\t2026-11-24\nbob\t-\n");
  EXPECT_EQ(t.for_people(),
            "USER               ADDED\nalice@example.org  2026-11-24\nbob                -\n");
}

TEST(bar, is_full_when_more_is_done_than_was_expected) {
  EXPECT_EQ(bar(0, 4, 4), "[----]");
  EXPECT_EQ(bar(3, 4, 4), "[###-]");
  EXPECT_EQ(bar(5, 4, 4), "[####]");
  EXPECT_EQ(bar(5, 0, 4), "[----]");
}

}  // namespace
}  // namespace cpns::cli
