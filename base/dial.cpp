#include "base/dial.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/clock.hpp"
#include "base/text.hpp"

namespace cpns {
namespace {

using monotonic = std::chrono::steady_clock;

std::string text_of(const addrinfo& a) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(a.ai_addr, a.ai_addrlen, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "an address";
  const std::string name{host.data()};
  return (a.ai_family == AF_INET6 ? "[" + name + "]" : name) + ":" + port.data();
}

/// A TCP connection, or an error number.
result<descriptor> dial(const addrinfo& to, monotonic::time_point until) {
  const auto failed = [&to](int number) {
    return fail(errc::peer_closed, text_of(to) + ": " + std::strerror(number));
  };
  descriptor s(::socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!s.valid()) return failed(errno);
  if (::connect(s.get(), to.ai_addr, to.ai_addrlen) == 0) return s;
  if (errno != EINPROGRESS) return failed(errno);
  pollfd one{s.get(), POLLOUT, 0};
  const auto left = std::chrono::duration_cast<milliseconds>(until - monotonic::now()).count();
  const int n = ::poll(&one, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
  if (n == 0) return failed(ETIMEDOUT);
  int number = 0;
  socklen_t size = sizeof number;
  if (n < 0 || ::getsockopt(s.get(), SOL_SOCKET, SO_ERROR, &number, &size) != 0) return failed(errno);
  if (number != 0) return failed(number);
  return s;
}

}  // namespace

result<addresses> resolve(const std::string& host, std::uint16_t port) {
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int wrong = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &wanted, &found);
  if (wrong != 0)
    return fail(errc::config_range,
                "the name " + shown(host) + " does not resolve: " + ::gai_strerror(wrong));
  return addresses{found};
}

result<reached> reach(const std::string& host, std::uint16_t port, monotonic::time_point until) {
  CPNS_TRY(const auto all, resolve(host, port));
  error last{errc::peer_closed, shown(host) + ": the name has no address"};
  const auto begun = monotonic::now();
  for (const auto* a = all.get(); a != nullptr; a = a->ai_next) {
    auto s = dial(*a, until);
    if (s) return reached{std::move(*s), text_of(*a), monotonic::now() - begun};
    last = std::move(s).error();
    if (monotonic::now() >= until) break;
  }
  return fail(std::move(last));
}

}  // namespace cpns
