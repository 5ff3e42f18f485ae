#pragma once
// The file that says that a role is ready: there while the process that wrote it serves, and locked by it, so
// that neither a script nor the next start takes that of a process which died for a sign of life.

#include <filesystem>
#include <string>

#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::cli {

/// Not thread-safe. Removes its file at the end.
class ready_file {
 public:
  /// Removes what a process that died left there. store_locked if the process that wrote it lives,
  /// config_file if the path holds something else. Does nothing for an empty path.
  static result<ready_file> claim(std::filesystem::path file);
  ready_file(ready_file&&) = default;
  ready_file& operator=(ready_file&&) = delete;
  ~ready_file() { remove(); }

  /// `text` and the process id, a line each (`HOST:PORT`, `pid N`). By rename: a reader never sees a part.
  status write(const std::string& text);
  void remove() noexcept;

 private:
  explicit ready_file(std::filesystem::path file) : path_(std::move(file)) {}
  std::filesystem::path path_;
  descriptor held_;  ///< the file, locked with flock(2); invalid until it is written
};

/// For a configuration that is wrong otherwise: removes the file if a process wrote it that died.
void remove_stale_ready_file(const std::filesystem::path& file);

}  // namespace cpns::cli
