#pragma once
// Files that hold a secret in clear: passwords, Temporary Keys, private keys, key-encryption keys. All of
// them are read here, so that one rule says who may use such a file, and nothing keeps a copy of what was
// read.

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "base/descriptor.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns {

/// A role reads regular files alone, so that a pipe cannot hang it; a command reads a pipe, too.
enum class pipes : std::uint8_t { refuse, accept };

/// Who may be able to read a file: the owner of a secret alone, or anybody, as with a certificate.
enum class readers : std::uint8_t { owner, anybody };

/// Gives the next bytes of a text, 0 at its end.
using byte_source = std::function<result<std::size_t>(std::span<std::uint8_t>)>;

/// A file of a secret, open for reading. Not thread-safe.
class private_file {
 public:
  /// config_file if the file cannot be opened, is a folder or a device, or may be used by others than its
  /// owner. The group may read it where root owns it (modes 0440 and 0640, as service managers and containers
  /// mount secrets). The open file is judged, behind all links. The detail begins with the file's name.
  static result<private_file> open(const std::filesystem::path& file, pipes rule = pipes::refuse,
                                   readers who = readers::owner);

  /// config_file if the file cannot be read; 0 at its end.
  result<std::size_t> read(std::span<std::uint8_t> to) const;
  [[nodiscard]] int fd() const { return open_.get(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Whether the rule above holds; only a file that was opened for `anybody` can say no.
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

/// The first line of 1 to `max` bytes, a password or a passphrase, without its end and without a byte order
/// mark; nothing behind it is taken. config_range if it is empty, too long or not UTF-8 but UTF-16;
/// config_file if it cannot be read. `name` is for messages.
result<secret_bytes> read_secret_line(int fd, const std::string& name, std::size_t max);
/// The same of a file; errors of private_file, too.
result<secret_bytes> read_secret_line(const std::filesystem::path& file, std::size_t max,
                                      pipes rule = pipes::refuse);

/// What is wrong with a text that begins so and is UTF-16; empty if it is not.
std::string utf16_hint(byte_view beginning);

}  // namespace cpns
