#include "base/keepalive.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

namespace cpns {
namespace {

void set_option(int socket, int level, int name, long value) {
  const int v = static_cast<int>(std::clamp(value, 1L, 1'000'000'000L));
  (void)::setsockopt(socket, level, name, &v, sizeof v);
}

}  // namespace

void probe_when_quiet(int socket, milliseconds quiet) {
  const long whole = std::chrono::ceil<seconds>(quiet).count();
  // The kernel takes at most 32767 s.
  const long idle = std::min(whole, 32'767L);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, (idle + 3) / 4);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 2);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, quiet.count());
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

}  // namespace cpns
