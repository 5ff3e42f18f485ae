#include "base/sockets.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

#include "base/descriptor.hpp"

namespace cpns {
namespace {

void set_option(int socket, int level, int name, long value) {
  const int v = static_cast<int>(std::clamp(value, 1L, 1'000'000'000L));
  (void)::setsockopt(socket, level, name, &v, sizeof v);
}

}  // namespace

std::uint16_t free_port(int kind) {
  const descriptor fd{::socket(AF_INET, kind | SOCK_CLOEXEC, 0)};
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool ok = fd.valid() && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size) == 0;
  return ok ? ntohs(at.sin_port) : std::uint16_t{0};
}

void probe_when_quiet(int socket, milliseconds quiet) {
  const long whole = std::chrono::ceil<seconds>(quiet).count();
  // The kernel takes at most 32767 s.
  const long most = std::min(whole, 32'767L);
  const long interval = std::max(most / 4, 1L);
  // With TCP_USER_TIMEOUT the kernel closes at the first probe that is due after that time.
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, most - 2 * interval);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 2);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, quiet.count());
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

}  // namespace cpns
