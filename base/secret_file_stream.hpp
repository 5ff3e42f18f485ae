#pragma once
// Reads a file that holds secrets: the buffer of an ordinary stream is freed with what was read last in it.

#include <array>
#include <filesystem>
#include <fstream>

#include "base/secret.hpp"

namespace cpns {

/// An ifstream whose buffer is its own and is wiped at its end. Binary.
class secret_ifstream : public std::ifstream {
 public:
  explicit secret_ifstream(const std::filesystem::path& file) {
    rdbuf()->pubsetbuf(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    open(file, std::ios::in | std::ios::binary);
  }
  ~secret_ifstream() override {
    close();
    wipe(buffer_.data(), buffer_.size());
  }
  secret_ifstream(const secret_ifstream&) = delete;
  secret_ifstream& operator=(const secret_ifstream&) = delete;

 private:
  std::array<char, 4096> buffer_{};
};

}  // namespace cpns
