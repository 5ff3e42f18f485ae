#pragma once
// Where `cpns keys render` and `exec` put keys for programs: files, written so that a reader never sees a part, and
// descriptors.

#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>

#include "base/bytes.hpp"
#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::cli::keys {

inline constexpr mode_t render_mode = 0640;  ///< the group may read, for a service with a user of its own
inline constexpr mode_t exec_mode = 0600;

/// A folder in memory that the system gives this process: $RUNTIME_DIRECTORY of a service, $XDG_RUNTIME_DIR of a session,
/// or /run.
std::filesystem::path runtime_folder();

/// A file for keys, which several processes may write at the same time: each by a temporary file of its own, .NAME.cpns-NUMBER.
/// One that is killed while it writes leaves that behind; any of them that writes when it is a minute old removes it. Not
/// thread-safe.
class key_file {
 public:
  /// `name` without a '/' is in runtime_folder(). config_file if its folder does not exist, or it is a folder.
  static result<key_file> at(const std::string& name, mode_t mode);
  /// `key` in a new folder of mode 0700 in runtime_folder(), which the destructor removes. config_file if it cannot be made.
  static result<key_file> in_new_folder(mode_t mode);
  key_file(key_file&&) noexcept = default;
  key_file& operator=(key_file&&) = delete;
  ~key_file();

  /// Replaces the content. Errors of storage::replace_file; the detail ends
  /// with what the file has then.
  status write(byte_view content) const;
  void remove() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Whether the folder is in memory: keys on a disk outlive their removal.
  [[nodiscard]] bool in_memory() const;

 private:
  key_file(std::filesystem::path path, std::filesystem::path own_folder, mode_t mode);
  std::filesystem::path path_, temporary_;
  std::filesystem::path own_folder_;  ///< empty: it was there before
  mode_t mode_;
};

/// `content` to be read from a descriptor, in memory that nobody can change. internal if the system gives none.
result<descriptor> readable_once(byte_view content);

}  // namespace cpns::cli::keys
