#pragma once
// The keepalive settings of a TCP connection, read back from its socket.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace cpns {

/// In seconds, "unacknowledged" in milliseconds; -1 if the option cannot be read.
inline std::map<std::string, int> probing_of(int socket) {
  const auto option = [socket](int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return ::getsockopt(socket, level, name, &value, &size) == 0 ? value : -1;
  };
  return {{"on", option(SOL_SOCKET, SO_KEEPALIVE)},
          {"idle", option(IPPROTO_TCP, TCP_KEEPIDLE)},
          {"interval", option(IPPROTO_TCP, TCP_KEEPINTVL)},
          {"count", option(IPPROTO_TCP, TCP_KEEPCNT)},
          {"unacknowledged", option(IPPROTO_TCP, TCP_USER_TIMEOUT)}};
}

struct connected_socket {
  int number;
  std::uint16_t here, there;  ///< ports of the local and the remote end
};

/// The IPv4 connections of this process.
inline std::vector<connected_socket> connected_sockets() {
  std::vector<connected_socket> out;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int number = std::stoi(entry.path().filename().string());
    sockaddr_in here{}, there{};
    socklen_t size = sizeof here;
    if (::getsockname(number, reinterpret_cast<sockaddr*>(&here), &size) != 0) continue;
    size = sizeof there;
    if (::getpeername(number, reinterpret_cast<sockaddr*>(&there), &size) != 0) continue;
    if (here.sin_family == AF_INET) out.push_back({number, ntohs(here.sin_port), ntohs(there.sin_port)});
  }
  return out;
}

}  // namespace cpns
