#pragma once
// Reads files that hold a secret in clear: passwords, Temporary Keys, private keys, key-encryption keys. All
// of them are read here, so that one rule checks their permissions and no copy of the content stays in memory.

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "base/descriptor.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns {

/// A role reads only regular files, because a pipe could hang it; a command reads pipes, too.
enum class pipes : std::uint8_t { refuse, accept };

/// Accepted readers of a file: its owner alone (a secret), or anybody (a certificate).
enum class readers : std::uint8_t { owner, anybody };

/// Returns the number of bytes read; 0 at the end.
using byte_source = std::function<result<std::size_t>(std::span<std::uint8_t>)>;

/// A file of a secret, open for reading. Not thread-safe.
class private_file {
 public:
  /// config_file if the file cannot be opened, is a folder or a device, or gives access to others than its
  /// owner. The group may read a file that root owns (modes 0440 and 0640, as service managers and containers
  /// mount secrets). Symbolic links are followed, then the open file is checked. The detail of the error begins
  /// with the file's name.
  static result<private_file> open(const std::filesystem::path& file, pipes rule = pipes::refuse,
                                   readers who = readers::owner);

  /// config_file if the file cannot be read; 0 at its end.
  result<std::size_t> read(std::span<std::uint8_t> to) const;
  [[nodiscard]] int fd() const { return open_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Whether open() would accept the file for `readers::owner`, too; false only if it was opened for `anybody`.
  [[nodiscard]] bool only_owner() const { return only_owner_; }

 private:
  private_file(descriptor open, std::string name, bool only_owner)
      : open_(std::move(open)), name_(std::move(name)), only_owner_(only_owner) {}
  descriptor open_;
  std::string name_;
  bool only_owner_;
};

/// The whole file. config_range if it has more than `max` bytes; errors of private_file, too.
result<secret_bytes> read_private_file(const std::filesystem::path& file, std::size_t max,
                                       readers who = readers::owner);

/// The first line, 1 to `max` bytes, such as a password: without line end and byte order mark; the rest is not
/// read. config_range if it is empty, too long or UTF-16; config_file if it cannot be read. `name` is for
/// messages.
result<secret_bytes> read_secret_line(int fd, const std::string& name, std::size_t max);
/// The same for a file; errors of private_file, too.
result<secret_bytes> read_secret_line(const std::filesystem::path& file, std::size_t max,
                                      pipes rule = pipes::refuse);

/// Advice for the user if the first bytes of a text show that it is UTF-16; otherwise empty.
std::string utf16_hint(byte_view beginning);

}  // namespace cpns
