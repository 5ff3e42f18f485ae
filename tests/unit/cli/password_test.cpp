#include "cli/password.hpp"

#include "cli/stores.hpp"
#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

class passwords : public test::temp_folder {};

TEST_F(passwords, are_the_first_line_of_a_private_file) {
  EXPECT_EQ(read_secret_file(write("a", "correct horse\r\nmore\n")).value(),
            secret_bytes::from_text("correct horse"));
  EXPECT_EQ(read_secret_file(write("b", " spaces kept ")).value(), secret_bytes::from_text(" spaces kept "));
  EXPECT_EQ(read_secret_file(write("c", std::string(1024, 'x') + "\n"))->size(), 1024U);
}

TEST_F(passwords, in_an_unfit_file_are_refused_without_being_shown) {
  const auto open = read_secret_file(write("open", "correct horse\n", 0640));
  ASSERT_FALSE(open);
  EXPECT_NE(open.error().detail.find("chmod 600"), std::string::npos);
  EXPECT_EQ(open.error().detail.find("horse"), std::string::npos);
  EXPECT_EQ(read_secret_file(write("empty", "")).error().code, errc::config_range);
  EXPECT_EQ(read_secret_file(write("blank", "\nx\n")).error().code, errc::config_range);
  EXPECT_EQ(read_secret_file(write("long", std::string(1025, 'x'))).error().code, errc::config_range);
  EXPECT_EQ(read_secret_file(folder / "none").error().code, errc::config_file);
  EXPECT_EQ(read_secret_file(folder).error().code, errc::config_file);
}

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
