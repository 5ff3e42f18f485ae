#include "api/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cpns::api {
namespace {

constexpr int backlog = 128;

result<sockaddr_un> address_of(const std::string& path, const std::string& setting) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() > socket_path_max)
    return fail(errc::config_range, setting + " " + path + ": the path of a Unix socket is limited to " +
                                        std::to_string(socket_path_max) + " bytes; use a shorter path");
  std::memcpy(a.sun_path, path.c_str(), path.size());
  return a;
}

tl::unexpected<error> failed(const std::string& path, const std::string& setting, const std::string& what) {
  const int why = errno;
  return fail(errc::config_file, setting + " " + path + ": " + what + std::strerror(why));
}

/// Removes the socket of a process that died. Only a refused connection shows that: without a free descriptor, or
/// with a full backlog, the role behind it may live.
status remove_stale(const std::string& path, const std::string& setting, const sockaddr_un& at) {
  struct stat there {};
  if (::lstat(path.c_str(), &there) != 0) return {};
  if (!S_ISSOCK(there.st_mode))
    return fail(errc::config_file,
                setting + " " + path + " exists and is not a socket; remove it, or use another path");
  const descriptor probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!probe.valid()) return failed(path, setting, "cannot be examined: ");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 || errno == EAGAIN)
    return fail(errc::state_exists,
                setting + " " + path + " is served by a running role; stop it, or use another path");
  if (errno == ENOENT) return {};
  if (errno != ECONNREFUSED) return failed(path, setting, "cannot be examined: ");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return failed(path, setting, "cannot be replaced: ");
  return {};
}

}  // namespace

result<unix_socket> unix_socket::listen(const std::string& path, mode_t mode, const std::string& setting) {
  CPNS_TRY(const auto at, address_of(path, setting));
  CPNS_CHECK(remove_stale(path, setting, at));
  descriptor fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd.valid()) return failed(path, setting, "");
  // Nobody connects before the mode is set: until listen() a connection is refused.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0)
    return failed(path, setting, "");
  struct stat made {};
  if (::lstat(path.c_str(), &made) != 0) return failed(path, setting, "");
  unix_socket out{path, std::move(fd), made.st_dev, made.st_ino};
  if (::chmod(path.c_str(), mode) != 0 || ::listen(out.fd_.get(), backlog) != 0)
    return failed(path, setting, "");
  return out;
}

unix_socket::~unix_socket() {
  if (path_.empty()) return;
  struct stat there {};
  if (::lstat(path_.c_str(), &there) == 0 && there.st_dev == device_ && there.st_ino == inode_)
    ::unlink(path_.c_str());
}

result<descriptor> connect_socket(const std::string& path, const std::string& access_hint, connecting how) {
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  if (path.size() > socket_path_max)
    return fail(errc::config_range, path + ": the path of a Unix socket is limited to " +
                                        std::to_string(socket_path_max) + " bytes");
  std::memcpy(at.sun_path, path.c_str(), path.size());
  const int flags = SOCK_STREAM | SOCK_CLOEXEC | (how == connecting::at_once ? SOCK_NONBLOCK : 0);
  descriptor fd{::socket(AF_UNIX, flags, 0)};
  if (fd.valid() && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0) return fd;
  const int code = errno;
  const std::string why = std::strerror(code);
  if (code == ECONNREFUSED || code == ENOENT)
    return fail(errc::peer_closed, "no role listens at " + path + " (" + why + ")");
  if (code == EAGAIN)
    return fail(errc::peer_closed, "the role at " + path + " takes no connection, because many wait already");
  return fail(errc::config_file, path + ": " + why + (code == EACCES ? "; " + access_hint : ""));
}

}  // namespace cpns::api
