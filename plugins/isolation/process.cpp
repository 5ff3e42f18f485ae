#include "plugins/isolation/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "plugins/host/child_process.hpp"

namespace cpns::plugins::isolation {
namespace {

constexpr int child_socket = 3;

int spawn(const std::string& transport, int socket, pid_t& pid) {
  std::string number = std::to_string(child_socket), name = transport, flag = radio_child_flag, self = "cpns";
  char* argv[] = {self.data(), flag.data(), number.data(), name.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, socket, child_socket);
  posix_spawn_file_actions_addclosefrom_np(&actions, child_socket + 1);
  posix_spawnattr_t how;
  posix_spawnattr_init(&how);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&how, &none);
  posix_spawnattr_setsigdefault(&how, &all);
  // Its own process group, so that Ctrl-C reaches only the role, which closes the radio.
  posix_spawnattr_setpgroup(&how, 0);
  posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  const int wrong = ::posix_spawn(&pid, "/proc/self/exe", &actions, &how, argv, child_environment{}.get());
  posix_spawnattr_destroy(&how);
  posix_spawn_file_actions_destroy(&actions);
  return wrong;
}

void close_if_open(int fd) {
  if (fd >= 0) ::close(fd);
}

}  // namespace

result<radio_process> radio_process::start(const std::string& transport) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(errc::plugin_load,
                std::string{"cannot create a socket pair for the radio's process: "} + std::strerror(errno));
  // Above child_socket: dup2 of a descriptor onto itself would keep O_CLOEXEC.
  const int theirs = ::fcntl(ends[1], F_DUPFD_CLOEXEC, child_socket + 1);
  ::close(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  radio_process p;
  p.socket_ = ends[0];
  const int wrong = theirs < 0 ? errno : spawn(transport, theirs, p.pid_);
  close_if_open(theirs);
  if (wrong != 0) {
    p.pid_ = -1;
    return fail(errc::plugin_load, std::string{"cannot start the radio's process: "} + std::strerror(wrong));
  }
  // By system call number: the header of Debian 12 declares pidfd_open for C only.
  p.watch_ = static_cast<int>(::syscall(SYS_pidfd_open, p.pid_, 0));
  if (p.watch_ < 0)
    return fail(errc::plugin_load,
                std::string{"cannot watch the radio's process (pidfd_open): "} + std::strerror(errno));
  return p;
}

radio_process::radio_process(radio_process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), socket_(std::exchange(other.socket_, -1)),
      watch_(std::exchange(other.watch_, -1)) {}

radio_process::~radio_process() {
  if (pid_ > 0) {
    kill();
    // A process blocked in a driver may take longer; it stays a zombie then, and this thread goes on.
    for (int i = 0; i < 100 && !ended(); ++i) {
      pollfd p{watch_, POLLIN, 0};
      ::poll(&p, 1, 10);
    }
  }
  close_if_open(socket_);
  close_if_open(watch_);
}

void radio_process::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::kill(-pid_, SIGKILL);  // its process group, with all that it started
}

std::optional<std::string> radio_process::ended() {
  if (pid_ <= 0) return std::nullopt;
  siginfo_t over{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &over, WEXITED | WNOHANG | WNOWAIT) == 0 && over.si_pid == 0)
    return std::nullopt;
  kill();  // its children; the id cannot be reused before the process is reaped
  int status = 0;
  const auto reaped = ::waitpid(pid_, &status, WNOHANG);
  if (reaped == 0 || (reaped < 0 && errno == EINTR)) return std::nullopt;
  if (reaped < 0) {  // another part of the program reaped it
    pid_ = -1;
    return "ended";
  }
  pid_ = -1;
  return how_it_ended(status);
}

}  // namespace cpns::plugins::isolation
