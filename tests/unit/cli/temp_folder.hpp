#pragma once
// A new folder for one test, and files in it with a chosen mode.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/temporary_folder.hpp"

namespace cpns::test {

class temp_folder : public testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const auto file = folder / name;
    std::ofstream(file, std::ios::binary) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  static std::string read(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static unsigned mode(const std::filesystem::path& file) {
    struct stat about {};
    return ::stat(file.c_str(), &about) == 0 ? about.st_mode & 07777U : 0U;
  }

  temporary_folder fresh_;
  std::filesystem::path folder = fresh_.path();
};

}  // namespace cpns::test
