#pragma once
// TCP connections of the commands, which block for a bounded time. The roles connect with Asio.

#include <netdb.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/descriptor.hpp"
#include "base/result.hpp"

namespace cpns {

struct free_addresses {
  void operator()(addrinfo* all) const noexcept { ::freeaddrinfo(all); }
};
using addresses = std::unique_ptr<addrinfo, free_addresses>;

/// The addresses of a host name, or the address itself. config_range if it does not resolve. May take as long as the
/// name servers let it. [thread-safe]
result<addresses> resolve(const std::string& host, std::uint16_t port);

struct reached {
  descriptor socket;    ///< non-blocking
  std::string address;  ///< host:port
  std::chrono::steady_clock::duration took{};
};
/// Tries each address in turn until `until`. Errors of resolve; peer_closed with the reason of the last address.
/// [thread-safe]
result<reached> reach(const std::string& host, std::uint16_t port,
                      std::chrono::steady_clock::time_point until);

}  // namespace cpns
