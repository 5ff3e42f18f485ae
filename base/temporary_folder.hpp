#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace cpns {

/// A new folder in TMPDIR, readable by this user alone; removed with its content on destruction.
class temporary_folder {
 public:
  /// Named `name`-XXXXXX with random X; config_file if it cannot be created.
  static result<temporary_folder> make(std::string_view name);
  temporary_folder(temporary_folder&& other) noexcept;
  temporary_folder& operator=(temporary_folder&&) = delete;
  ~temporary_folder();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit temporary_folder(std::string path) : path_(std::move(path)) {}
  std::string path_;  ///< absolute; empty after a move
};

}  // namespace cpns
