#pragma once
// A log in a file of a new folder.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::log {

class log_test : public testing::Test {
 protected:
  ~log_test() override {
    flush();
    (void)configure({});
  }
  /// All lines logged so far, if the file can be written.
  static std::vector<std::string> lines_of(const std::string& file) {
    flush();
    std::ifstream in{file, std::ios::binary};
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  [[nodiscard]] std::vector<std::string> lines() const { return lines_of(s.file); }
  /// What follows the event id in each line of the text form.
  [[nodiscard]] static std::vector<std::string> texts_of(const std::string& file) {
    auto out = lines_of(file);
    for (auto& line : out) line.erase(0, line.find(": ") + 2);
    return out;
  }
  [[nodiscard]] std::vector<std::string> texts() const { return texts_of(s.file); }

  test::temporary_folder folder_;
  const std::string folder = folder_.path();
  settings s = [this] {
    settings out;
    out.file = folder + "/log";
    return out;
  }();
};

}  // namespace cpns::log
