#pragma once
// Captures all log lines since its construction, as one text.

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/log.hpp"

namespace cpns::server_tests {

class captured_log {
 public:
  captured_log() {
    std::string pattern = testing::TempDir() + "cpns-log-XXXXXX";
    const int fd = ::mkstemp(pattern.data());
    EXPECT_GE(fd, 0);
    ::close(fd);
    file_ = pattern;
    log::settings s;
    s.form = log::format::json;
    s.threshold = log::level::debug;
    s.file = file_;
    EXPECT_TRUE(log::configure(s).has_value());
  }
  ~captured_log() {
    log::settings quiet;
    quiet.threshold = log::level::off;
    log::flush();
    EXPECT_TRUE(log::configure(quiet).has_value());
    std::filesystem::remove(file_);
  }
  captured_log(const captured_log&) = delete;
  captured_log& operator=(const captured_log&) = delete;

  [[nodiscard]] std::string text() const {
    log::flush();
    std::ifstream in{file_};
    std::stringstream out;
    out << in.rdbuf();
    return out.str();
  }
  /// Waits up to a minute for a line that contains `what`.
  [[nodiscard]] bool says(std::string_view what) const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (std::chrono::steady_clock::now() < until) {
      if (text().find(what) != std::string::npos) return true;
      std::this_thread::yield();
    }
    return false;
  }

 private:
  std::string file_;
};

}  // namespace cpns::server_tests
