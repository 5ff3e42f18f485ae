#pragma once
// A folder for the time of one piece of work.

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace cpns {

/// A fresh folder that nobody else may read, in that of TMPDIR; goes with all that is in it.
class temporary_folder {
 public:
  /// `name`-XXXXXX, the X drawn; config_file if it cannot be made.
  static result<temporary_folder> make(std::string_view name);
  temporary_folder(temporary_folder&& other) noexcept;
  temporary_folder& operator=(temporary_folder&&) = delete;
  ~temporary_folder();

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit temporary_folder(std::string path) : path_(std::move(path)) {}
  std::string path_;  ///< absolute; empty when it was moved from
};

}  // namespace cpns
