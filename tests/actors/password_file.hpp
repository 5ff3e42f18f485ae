#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace cpns::gateway_actor_tests {

/// A password file; every write gets a later time.
class password_file {
 public:
  explicit password_file(std::string_view text) {
    std::string pattern = testing::TempDir() + "cpns-password-XXXXXX";
    const int fd = ::mkstemp(pattern.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
    path_ = pattern;
    write(text);
  }
  ~password_file() { std::filesystem::remove(path_); }
  password_file(const password_file&) = delete;
  password_file& operator=(const password_file&) = delete;
  void write(std::string_view text) {
    std::ofstream{path_, std::ios::trunc} << text;
    std::filesystem::last_write_time(path_, std::filesystem::last_write_time(path_) +
                                                std::chrono::seconds{++writes_});
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  int writes_ = 0;
};

}  // namespace cpns::gateway_actor_tests
