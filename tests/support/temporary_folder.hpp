#pragma once
// A temporary folder for one test.

#include <filesystem>
#include <string_view>

#include "base/temporary_folder.hpp"

namespace cpns::test {

/// A new folder, removed with its content by the destructor.
class temporary_folder {
 public:
  [[nodiscard]] std::filesystem::path path() const { return folder_.path(); }
  std::filesystem::path operator/(std::string_view name) const { return path() / name; }

 private:
  cpns::temporary_folder folder_ = cpns::temporary_folder::make("cpns-test").value();
};

}  // namespace cpns::test
