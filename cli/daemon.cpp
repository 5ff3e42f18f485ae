#include "cli/daemon.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/log.hpp"

namespace cpns::cli {

void forbid_core_files() {
  // The limit of core files alone does not hold for those that go through a pipe of the system.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

std::uint64_t raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur;
}

void warn_of_files(const std::string& role, const std::string& key, std::uint64_t connections) {
  constexpr std::uint64_t others = 128;  // stores, logs, sockets of its own
  const auto most = raise_file_limit();
  if (most == 0 || connections + others <= most) return;
  log::warn(role, "limits-contradict",
            key + " is " + std::to_string(connections) + ", and this process may open " +
                std::to_string(most) + " files, " + std::to_string(others) +
                " of them for other things: raise its limit (ulimit -n, LimitNOFILE) or lower the key");
}

void notify_service_manager(const std::string& state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  const std::size_t size = std::strlen(path);
  if (size >= sizeof to.sun_path) return;
  std::memcpy(to.sun_path, path, size);
  if (path[0] == '@') to.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size));
  ::close(fd);
}

// The hooks run here, in the thread that started the role: CAF keeps a reference to an actor system in every
// thread that made actors, and waits for it when the system ends elsewhere.
int serve(signal_watch& signals, const std::string& role, const daemon_hooks& hooks) {
  notify_service_manager("READY=1");
  for (;;) {
    const int s = signals.next(100);
    if (s == SIGHUP) {
      notify_service_manager("RELOADING=1");
      hooks.reload();
      notify_service_manager("READY=1");
    } else if (s == SIGTERM || s == SIGINT) {
      log::info(role, "draining",
                s == SIGTERM ? "SIGTERM: finishing what is in hand" : "SIGINT: finishing what is in hand");
      notify_service_manager("STOPPING=1");
      hooks.drain();
      log::info(role, "stopped", "the role has ended");
      return 0;
    } else if (hooks.failed()) {
      log::error(role, "failed", "the role cannot go on, see the lines above");
      notify_service_manager("STOPPING=1");
      signals.ending();
      hooks.drain();
      return 1;
    }
  }
}

}  // namespace cpns::cli
