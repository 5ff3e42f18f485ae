#pragma once
// The file of the log, or standard error. Internal to the log.

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::log::detail {

/// The file that a role writes for years is renamed by a rotation, its disk fills up or hangs, and the reader of a
/// pipe goes away. This class follows the name of the file, and reports what a write did, so that the writer can go
/// on later. Only the writer's thread calls `write_some`; `write_now` is [thread-safe].
class output {
 public:
  /// Opens `file` for appending. Creates it, with mode 0666 less the umask, and its folders. A FIFO without a reader
  /// takes lines until it is full. Empty: standard error. config_file if the file cannot be opened.
  static result<std::shared_ptr<output>> open(std::string file);
  /// Standard error, which stays open.
  static std::shared_ptr<output> standard_error();

  struct step {
    std::size_t written = 0;  ///< bytes
    int error = 0;            ///< an errno; 0 with nothing written: no reader takes bytes now
    bool reopened = false;    ///< nothing was written, and the next call writes into another file
  };
  /// Writes a part of `lines`, which end in line breaks: to a file all of them with one write, which lasts as long as
  /// the disk takes; to a pipe, terminal or socket whole lines of up to 4096 bytes, after at most 200 ms for its
  /// reader. `follow_name`: looks first, at most once per second, whether the path names another file or none, and
  /// if so opens it again.
  step write_some(std::string_view lines, bool follow_name);
  /// The errno of the last attempt to open the file again, if it failed, once per series of failures; else 0.
  int take_trouble();

  /// Writes the line in the thread of the caller; errors are ignored.
  void write_now(std::string_view line) const;

  [[nodiscard]] const std::string& path() const { return path_; }
  /// It is standard error, and the journal of systemd reads it: lines begin with their priority.
  [[nodiscard]] bool is_journal() const { return is_journal_; }

 private:
  output(std::string path, descriptor held, int fd)
      : path_(std::move(path)), held_(std::move(held)), fd_(fd) {}
  bool reopen_if_renamed();
  void learn_kind();

  const std::string path_;
  descriptor held_;  ///< invalid for standard error
  const int fd_;     ///< stays the same when the file is opened again
  bool has_reader_ = false;
  bool is_journal_ = false;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::chrono::steady_clock::time_point looked_ = std::chrono::steady_clock::now();
  bool failing_ = false;
  int trouble_ = 0;
};

}  // namespace cpns::log::detail
