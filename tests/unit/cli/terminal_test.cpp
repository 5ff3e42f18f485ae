#include "cli/terminal.hpp"

#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

class new_password : public test::temp_folder {};

TEST_F(new_password, has_a_minimum_length) {
  EXPECT_EQ(read_new_password({.file = write("a", "seven77\n")}).error().code, errc::config_range);
  EXPECT_TRUE(read_new_password({.file = write("b", "eight888\n")}));
}

}  // namespace
}  // namespace cpns::cli
