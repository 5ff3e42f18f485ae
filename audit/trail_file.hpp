#pragma once
// The file of a trail: opened under its name, locked, appended to durably, read in lines. Private to audit/.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "audit/anchor.hpp"
#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::audit {

/// Reads a file in lines, without more than one line in memory. Not thread-safe.
class line_source {
 public:
  struct part {
    std::string_view bytes;  ///< valid until the next call; with the line end, if it has one
    bool whole =
        false;  ///< a line with its line end; false: the rest of the file, or a part of a line over line_size_max
    [[nodiscard]] std::string_view line() const {
      return bytes.substr(0, bytes.size() - 1);
    }  ///< of a whole one
  };
  /// Reads the first `limit` bytes of `fd`, which must outlive the source.
  line_source(int fd, std::uint64_t limit, std::filesystem::path path);
  /// nullopt at the end. store_unavailable if the file cannot be read.
  result<std::optional<part>> next();

 private:
  int fd_;
  std::uint64_t limit_, offset_ = 0;
  std::filesystem::path path_;
  std::string buffer_;
  std::size_t begin_ = 0;
  bool inside_ = false;  ///< of a line that is too long
};

/// What a file that is opened holds after the head of the chain.
struct file_end {
  chain reached;                ///< the chain with the genuine lines that the store does not know yet
  std::uint64_t taken = 0;      ///< number of those lines
  bool jumped = false;          ///< lines are missing before one of them
  std::uint64_t last_seen = 0;  ///< the highest number of a genuine line; 0: there is none
  bool holds_head = false;      ///< the file is empty, has the line of the head, or goes on after it
  std::uint64_t size = 0;       ///< of the file
  bool ended = true;            ///< the file is empty, or its last byte is a line end
  std::uint64_t remains = 0;    ///< bytes after the last genuine line
  byte_array<32> digest{};      ///< SHA-256 of them
};
/// Reads the end of the file if it is as `c` says, otherwise the whole file. Errors of line_source.
result<file_end> examine(int fd, const chain& c, const std::filesystem::path& path);

/// Not thread-safe.
class trail_file {
 public:
  explicit trail_file(std::filesystem::path path) : path_(std::move(path)) {}

  /// Opens the file, or creates it with mode 0600, unless the file of that name is open. True if it was opened now.
  /// config_file: not a regular file, wrong mode, no folder or no right; store_locked: another process writes it;
  /// store_full, store_write_failed: the disk takes no file now.
  result<bool> ensure_open();
  /// Writes the lines and syncs. After an error none of them is in the file, or the file is closed: the next
  /// ensure_open() opens it, and its end must be examined. store_full, store_write_failed.
  status append(std::string_view lines);
  void close() { fd_.close(); }

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  [[nodiscard]] bool is_open_under_its_name() const;

  std::filesystem::path path_;
  descriptor fd_;
};

/// Opens a file of a trail for reading. config_file.
result<descriptor> open_to_read(const std::filesystem::path& path);
/// The size of an open file.
result<std::uint64_t> size_of(int fd, const std::filesystem::path& path);

}  // namespace cpns::audit
