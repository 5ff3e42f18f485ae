#include "base/temporary_folder.hpp"

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace cpns {

result<temporary_folder> temporary_folder::make(std::string_view name) {
  std::error_code wrong;
  const auto parent = std::filesystem::temp_directory_path(wrong);
  if (wrong) return fail(errc::config_file, "TMPDIR is not a folder: " + wrong.message());
  std::string path = (parent / name).string() + "-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr)
    return fail(errc::config_file,
                "cannot create a temporary folder in " + parent.string() + ": " + std::strerror(errno));
  return temporary_folder{std::move(path)};
}

temporary_folder::temporary_folder(temporary_folder&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

temporary_folder::~temporary_folder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace cpns
