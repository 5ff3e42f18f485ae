#include "actors/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

namespace cpns::actors {
namespace {

constexpr std::size_t answer_max = 64 * 1024 * 1024;

result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path)
    return fail(errc::config_range, "the path of a Unix socket has at most " +
                                        std::to_string(sizeof a.sun_path - 1) + " bytes: " + path);
  std::memcpy(a.sun_path, path.c_str(), path.size());
  return a;
}

int new_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

bool connect_to(int fd, const sockaddr_un& a) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
}

void set_patience(int fd, int seconds) {
  const timeval t{seconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

/// Up to the line break; nullopt when the other side ends, is too slow or says too much.
std::optional<std::string> read_line(int fd, std::size_t most) {
  std::string line;
  char buffer[16 * 1024];
  while (line.size() <= most) {
    const auto n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return std::nullopt;
    line.append(buffer, static_cast<std::size_t>(n));
    if (line.back() == '\n') {
      line.pop_back();
      return line;
    }
  }
  return std::nullopt;
}

bool write_line(int fd, std::string line) {
  line += '\n';
  std::size_t at = 0;
  while (at < line.size()) {
    const auto n = ::send(fd, line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (n <= 0) return false;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

result<std::unique_ptr<control_server>>
control_server::listen(const std::string& path, std::function<std::string(const std::string&)> answer) {
  CPNS_TRY(const auto at, address_of(path));
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      return fail(errc::config_file, "control_socket " + path + " is there and is no socket");
    const int probe = new_socket();
    const bool alive = connect_to(probe, at);
    ::close(probe);
    if (alive) return fail(errc::state_exists, "control_socket " + path + " is served by a running role");
    ::unlink(path.c_str());
  }
  const int fd = new_socket();
  const mode_t before = ::umask(0177);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
  const int why = errno;
  ::umask(before);
  if (!bound || ::listen(fd, 16) != 0) {
    ::close(fd);
    return fail(errc::config_file, "control_socket " + path + ": " + std::strerror(why));
  }
  return std::unique_ptr<control_server>{new control_server{path, fd, std::move(answer)}};
}

control_server::control_server(std::string path, int fd,
                               std::function<std::string(const std::string&)> answer)
    : path_(std::move(path)), fd_(fd), answer_(std::move(answer)), thread_([this] { run(); }) {}

control_server::~control_server() {
  ending_ = true;
  ::shutdown(fd_, SHUT_RDWR);
  thread_.join();
  ::close(fd_);
  ::unlink(path_.c_str());
}

void control_server::run() {
  while (!ending_) {
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, 200) <= 0) continue;
    const int client = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) {
      if (errno == EMFILE || errno == ENFILE) ::poll(nullptr, 0, 100);
      continue;
    }
    serve(client);
    ::close(client);
  }
}

void control_server::serve(int client) {
  set_patience(client, 2);
  while (!ending_) {
    const auto line = read_line(client, control_request_max);
    if (!line || !write_line(client, answer_(*line))) return;
  }
}

result<std::string> control_call(const std::string& path, const std::string& request) {
  CPNS_TRY(const auto at, address_of(path));
  const int fd = new_socket();
  if (!connect_to(fd, at)) {
    const std::string why = std::strerror(errno);
    ::close(fd);
    return fail(errc::peer_closed, "no role listens at " + path + " (" + why + "): is it running?");
  }
  set_patience(fd, 10);
  const bool sent = write_line(fd, request);
  auto line = sent ? read_line(fd, answer_max) : std::nullopt;
  ::close(fd);
  if (!line) return fail(errc::peer_timeout, "the role at " + path + " did not answer within 10 s");
  return std::move(*line);
}

}  // namespace cpns::actors
