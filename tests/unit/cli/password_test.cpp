#include "cli/password.hpp"

#include "cli/stores.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

class passwords : public test::temp_folder {};

TEST_F(passwords, that_are_new_have_a_least_length) {
  EXPECT_EQ(read_new_password({.file = write("a", "seven77\n")}).error().code, errc::config_range);
  EXPECT_TRUE(read_new_password({.file = write("b", "eight888\n")}));
}

TEST_F(passwords, protect_a_store_as_a_passphrase) {
  const auto file = write("pass", "correct horse\n");
  const config::protector_config by_pass{config::protector_kind::passphrase, file};
  const config::store_config memory{config::store_kind::memory, {}};
  EXPECT_TRUE(opened_store::open(memory, by_pass));
  const auto none = opened_store::open(memory, {config::protector_kind::passphrase, folder / "none"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, errc::store_key);
}

}  // namespace
}  // namespace cpns::cli
