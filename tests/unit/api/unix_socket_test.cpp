#include "api/unix_socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/temporary_folder.hpp"

namespace cpns::api {
namespace {

namespace fs = std::filesystem;

class unix_sockets : public testing::Test {
 protected:
  void SetUp() override {
    folder = testing::TempDir() + "cpns-api-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    path = folder + "/s";
  }
  void TearDown() override { fs::remove_all(folder); }
  std::string folder, path;
};

TEST_F(unix_sockets, is_made_with_its_mode_and_removed_at_the_end) {
  {
    const auto made = unix_socket::listen(path, 0600);
    ASSERT_TRUE(made) << made.error().message();
    struct stat s {};
    ASSERT_EQ(::lstat(path.c_str(), &s), 0);
    EXPECT_EQ(s.st_mode & 0777U, 0600U);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(unix_sockets, of_a_living_role_stays) {
  const auto first = unix_socket::listen(path, 0600);
  const auto second = unix_socket::listen(path, 0600);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::state_exists);
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(unix_sockets, of_a_living_role_stays_when_no_descriptor_is_left) {
  const auto first = unix_socket::listen(path, 0600);
  ASSERT_TRUE(first);
  std::vector<descriptor> all;
  for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0;
       fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) {
    all.emplace_back(fd);
    rlimit few{static_cast<rlim_t>(fd) + 1, 0};
    rlimit now{};
    ::getrlimit(RLIMIT_NOFILE, &now);
    few.rlim_max = now.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  const auto second = unix_socket::listen(path, 0600);
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  now.rlim_cur = now.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &now);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::config_file) << second.error().message();
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(unix_sockets, of_a_process_that_died_is_replaced) {
  fs::path kept = folder + "/kept";
  {
    const auto made = unix_socket::listen(path, 0600);
    fs::create_hard_link(path, kept);
  }
  fs::rename(kept, path);
  EXPECT_TRUE(unix_socket::listen(path, 0600));
}

TEST_F(unix_sockets, never_replaces_a_file_that_is_no_socket) {
  std::ofstream{path} << "precious";
  const auto made = unix_socket::listen(path, 0600);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().detail.find("is not a socket"), std::string::npos);
  EXPECT_TRUE(fs::exists(path));
}

TEST_F(unix_sockets, refuses_a_path_that_is_too_long_or_has_no_folder) {
  EXPECT_EQ(unix_socket::listen(folder + "/" + std::string(120, 'x'), 0600).error().code, errc::config_range);
  EXPECT_EQ(unix_socket::listen(folder + "/no/s", 0600).error().code, errc::config_file);
}

TEST_F(unix_sockets, leaves_a_socket_that_took_its_place) {
  {
    auto first = unix_socket::listen(path, 0600);
    fs::rename(path, folder + "/moved");
    std::ofstream{path} << "new";
  }
  EXPECT_TRUE(fs::exists(path));
}

}  // namespace
}  // namespace cpns::api
