#pragma once
// The Unix socket of a role: made and removed so that it never takes the place of a living role's.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>

#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns::api {

inline constexpr std::size_t socket_path_max = 107;  ///< bytes: sun_path of sockaddr_un, without its NUL

/// A listening Unix socket, removed by the destructor if the file is still the one that it made.
class unix_socket {
 public:
  /// Replaces the socket of a process that died. state_exists if a process listens there; config_file if the path
  /// is something else, or cannot be used or examined (no descriptors left); config_range if it is too long. `setting`
  /// names the path in errors.
  static result<unix_socket> listen(const std::string& path, mode_t mode,
                                    const std::string& setting = "api.socket");
  unix_socket(unix_socket&& other) noexcept
      : path_(std::exchange(other.path_, {})), fd_(std::move(other.fd_)), device_(other.device_),
        inode_(other.inode_) {}
  unix_socket& operator=(unix_socket&&) = delete;
  ~unix_socket();

  /// The descriptor; the caller closes it. Call it once.
  [[nodiscard]] int release() { return fd_.release(); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  unix_socket(std::string path, descriptor fd, dev_t device, ino_t inode)
      : path_(std::move(path)), fd_(std::move(fd)), device_(device), inode_(inode) {}
  std::string path_;  ///< empty: moved from
  descriptor fd_;
  dev_t device_;
  ino_t inode_;
};

/// Whether connect_socket waits while the role takes no connection because many wait already.
enum class connecting : std::uint8_t { waits, at_once };
/// A connection to the role that listens at `path`; not blocking if `how` is at_once. peer_closed if no role listens there,
/// or none could be accepted at once; config_range if the path is too long; config_file if the socket cannot be used (no
/// rights). `access_hint` ends the sentence of an error for want of rights.
result<descriptor> connect_socket(const std::string& path, const std::string& access_hint, connecting how);

}  // namespace cpns::api
