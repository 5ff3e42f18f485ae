#include "actors/control.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <vector>

namespace cpns::actors {
namespace {

using steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t answer_max = 64 * 1024 * 1024;
constexpr std::size_t clients_max = 64;  // one more evicts the client that has been silent longest
constexpr milliseconds line_time{2000};  // from the connection, or the last answer, to a complete line
constexpr milliseconds answer_time{5000};
constexpr milliseconds glance{200};  // interval at which the end of the role is checked

result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path)
    return fail(errc::config_range, "the path of a Unix socket is limited to " +
                                        std::to_string(sizeof a.sun_path - 1) + " bytes: " + path);
  std::memcpy(a.sun_path, path.c_str(), path.size());
  return a;
}

int new_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

bool connect_to(int fd, const sockaddr_un& a) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
}

void set_timeout(int fd, int seconds) {
  const timeval t{seconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

/// Reads up to the line break; nullopt if the peer closes, is too slow or sends more than `most` bytes.
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

/// False if the peer closed, does not read within `time`, or `ending` was set.
bool write_line(int fd, std::string line, milliseconds time, const std::atomic<bool>& ending) {
  const auto by = steady::now() + time;
  line += '\n';
  for (std::size_t at = 0; at < line.size();) {
    const auto n = ::send(fd, line.data() + at, line.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) {
      at += static_cast<std::size_t>(n);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) return false;
    if (ending || steady::now() >= by) return false;
    pollfd p{fd, POLLOUT, 0};
    ::poll(&p, 1, static_cast<int>(glance.count()));
  }
  return true;
}

struct client {
  int fd;
  std::string received;
  steady::time_point by;  ///< deadline for a complete line

  explicit client(int f) : fd(f), by(steady::now() + line_time) {}
  ~client() { ::close(fd); }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
};
using clients_t = std::vector<std::unique_ptr<client>>;

/// Reads from the client and answers complete lines. False if the client is to be closed.
bool serve(client& c, const std::function<std::string(const std::string&)>& answer,
           const std::atomic<bool>& ending) {
  char buffer[control_request_max];
  const auto n = ::recv(c.fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
  if (n <= 0) return false;
  c.received.append(buffer, static_cast<std::size_t>(n));
  for (auto end = c.received.find('\n'); end != std::string::npos; end = c.received.find('\n')) {
    const auto line = c.received.substr(0, end);
    c.received.erase(0, end + 1);
    if (ending || line.size() > control_request_max || !write_line(c.fd, answer(line), answer_time, ending))
      return false;
    c.by = steady::now() + line_time;
  }
  return c.received.size() <= control_request_max;
}

/// False if the process is out of descriptors.
bool accept_one(int fd, clients_t& clients) {
  const int got = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
  if (got < 0) return errno != EMFILE && errno != ENFILE;
  if (clients.size() >= clients_max)
    clients.erase(std::min_element(clients.begin(), clients.end(),
                                   [](const auto& a, const auto& b) { return a->by < b->by; }));
  clients.push_back(std::make_unique<client>(got));
  return true;
}

}  // namespace

result<std::unique_ptr<control_server>>
control_server::listen(const std::string& path, std::function<std::string(const std::string&)> answer) {
  CPNS_TRY(const auto at, address_of(path));
  struct stat there {};
  if (::lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      return fail(errc::config_file, "control_socket " + path + " exists and is not a socket");
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
  clients_t clients;
  while (!ending_) {
    std::vector<pollfd> watched{{fd_, POLLIN, 0}};
    for (const auto& c : clients) watched.push_back({c->fd, POLLIN, 0});
    ::poll(watched.data(), watched.size(), static_cast<int>(glance.count()));
    const auto now = steady::now();
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const bool readable = watched[i + 1].revents != 0;
      if (readable ? !serve(*clients[i], answer_, ending_) : now >= clients[i]->by) clients[i].reset();
    }
    std::erase(clients, nullptr);
    if (watched[0].revents != 0 && !accept_one(fd_, clients)) ::poll(nullptr, 0, 100);
  }
}

result<std::string> control_call(const std::string& path, const std::string& request) {
  CPNS_TRY(const auto at, address_of(path));
  const int fd = new_socket();
  set_timeout(fd, 10);
  if (!connect_to(fd, at)) {
    const std::string why = std::strerror(errno);
    ::close(fd);
    return fail(errc::peer_closed, "no role listens at " + path + " (" + why + "): is it running?");
  }
  const std::atomic<bool> never{false};
  const bool sent = write_line(fd, request, milliseconds{10'000}, never);
  auto line = sent ? read_line(fd, answer_max) : std::nullopt;
  ::close(fd);
  if (!line) return fail(errc::peer_timeout, "the role at " + path + " did not answer within 10 s");
  return std::move(*line);
}

}  // namespace cpns::actors
