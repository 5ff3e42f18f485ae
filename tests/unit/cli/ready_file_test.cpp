#include "cli/ready_file.hpp"

#include <unistd.h>

#include "temp_folder.hpp"

namespace cpns::cli {
namespace {

class ready_files : public test::temp_folder {
 protected:
  std::filesystem::path file = folder / "ready";
  std::string pid_line = "pid " + std::to_string(::getpid()) + "\n";
};

TEST_F(ready_files, stand_while_their_process_is_ready) {
  {
    auto ready = ready_file::claim(file).value();
    EXPECT_FALSE(std::filesystem::exists(file));
    ASSERT_TRUE(ready.write("127.0.0.1:7443"));
    EXPECT_EQ(read(file), "127.0.0.1:7443\n" + pid_line);
    const auto second = ready_file::claim(file);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, errc::store_locked);
    EXPECT_NE(second.error().detail.find("held by process " + std::to_string(::getpid())), std::string::npos)
        << second.error().detail;
    remove_stale_ready_file(file);
    EXPECT_TRUE(std::filesystem::exists(file));
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(ready_files, of_a_process_that_died_are_removed_first_of_all) {
  write("ready", "127.0.0.1:7443\npid 1\n");
  EXPECT_TRUE(ready_file::claim(file));
  EXPECT_FALSE(std::filesystem::exists(file));
  write("ready", "127.0.0.1:7443\npid 1\n");
  remove_stale_ready_file(file);
  EXPECT_FALSE(std::filesystem::exists(file));
  write("ready", "role: server\n");
  remove_stale_ready_file(file);
  EXPECT_TRUE(std::filesystem::exists(file)) << "no process wrote this one";
}

TEST_F(ready_files, do_not_take_the_place_of_something_else) {
  EXPECT_EQ(ready_file::claim(folder).error().code, errc::config_file);
  std::filesystem::create_symlink("elsewhere", file);
  EXPECT_EQ(ready_file::claim(file).error().code, errc::config_file);
  EXPECT_TRUE(ready_file::claim({})->write("x"));
}

}  // namespace
}  // namespace cpns::cli
