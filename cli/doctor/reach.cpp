// Reachability: the servers of a gateway, and the address of a server.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>

#include "base/descriptor.hpp"
#include "base/text.hpp"
#include "cli/doctor/doctor.hpp"
#include "config/values.hpp"
#include "crypto/tls_probe.hpp"

namespace cpns::cli::doctor {
namespace {

using monotonic = std::chrono::steady_clock;

struct free_addresses {
  void operator()(addrinfo* all) const noexcept { ::freeaddrinfo(all); }
};
using addresses = std::unique_ptr<addrinfo, free_addresses>;

/// May take as long as the name servers let it.
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

std::string text_of(const addrinfo& a) {
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  if (::getnameinfo(a.ai_addr, a.ai_addrlen, host.data(), host.size(), port.data(), port.size(),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "an address";
  return config::address{host.data(), static_cast<std::uint16_t>(std::stoul(port.data()))}.text();
}

std::string in_ms(monotonic::duration d) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(d).count()) + " ms";
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

/// The advice for an address that cannot be reached.
constexpr std::string_view reach_advice = "; look whether the server runs, whether its listen address is "
                                          "that one, and for firewalls and routes between "
                                          "the machines";

struct reached {
  descriptor socket;
  std::string address;
  monotonic::duration took{};
};
result<reached> reach(const config::address& to, monotonic::time_point until) {
  CPNS_TRY(const auto all, resolve(to.host, to.port));
  error last{errc::peer_closed, to.text() + ": the name has no address"};
  const auto begun = monotonic::now();
  for (const auto* a = all.get(); a != nullptr; a = a->ai_next) {
    auto s = dial(*a, until);
    if (s) return reached{std::move(*s), text_of(*a), monotonic::now() - begun};
    last = std::move(s).error();
    if (monotonic::now() >= until) break;
  }
  last.detail += reach_advice;
  return fail(std::move(last));
}

/// `host` as a client on this machine reaches it: the wildcard addresses are those of the loopback.
std::string local_host(const std::string& host) {
  return host == "0.0.0.0" ? "127.0.0.1" : host == "::" ? "::1" : host;
}

/// The address that a running server wrote into its ready file; nullopt without one.
std::optional<config::address> ready_address(const config::server_config& c) {
  std::ifstream in{c.ready_file};
  std::string first;
  if (c.ready_file.empty() || !std::getline(in, first)) return std::nullopt;
  const auto read = config::parse_address(first);
  return read ? std::optional{*read} : std::nullopt;
}

line running_server(const config::server_config& c, milliseconds patience) {
  auto at = c.listen;
  if (at.port == 0) {
    const auto ready = ready_address(c);
    if (!ready)
      return {state_t::warning,
              "the system chooses the port (listen has port 0), and without a ready_file it is "
              "not known here; set ready_file, or a port"};
    at.port = ready->port;
  }
  at.host = local_host(at.host);
  auto met = reach(at, monotonic::now() + patience);
  if (!met)
    return {state_t::error, "the server runs, but does not listen: " + met.error().detail +
                                "; its log says not-listening while its address does not exist"};
  return {state_t::ok, "the server listens at " + met->address + " (connected in " + in_ms(met->took) + ")"};
}

/// Binds the address for a moment, without listening: nobody can connect to it.
line stopped_server(const config::server_config& c) {
  const auto all = resolve(c.listen.host, c.listen.port);
  if (!all) return {state_t::warning, "listen: " + all.error().detail + "; until then the server waits"};
  const auto& a = **all;
  const descriptor s(::socket(a.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!s.valid()) return {state_t::error, "a socket cannot be made: " + std::string{std::strerror(errno)}};
  (void)::setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(s.get(), a.ai_addr, a.ai_addrlen) == 0)
    return {state_t::ok, "the server does not run, and its address " + c.listen.text() + " is free"};
  const auto why = c.listen.text() + ": " + std::strerror(errno);
  if (errno == EADDRINUSE)
    return {state_t::error, "listen: " + why +
                                "; another process uses the port: `ss -ltnp` shows it; stop it, or choose "
                                "another port"};
  if (errno == EADDRNOTAVAIL)
    return {state_t::warning, "listen: " + why +
                                  "; the machine does not have this address now, and the server waits "
                                  "until it has"};
  return {state_t::warning, "listen: " + why +
                                "; run the command with the rights of the server, or choose a port of "
                                "1024 or higher"};
}

}  // namespace

lines check_listening(const subject& s) {
  const auto& c = std::get<config::server_config>(s.file.config);
  // A server with its store in memory may run unseen.
  if (s.running()) return {running_server(c, s.patience)};
  return {stopped_server(c)};
}

lines check_server(const subject& s, const config::address& server) {
  const auto& c = std::get<config::gateway_config>(s.file.config);
  const auto until = monotonic::now() + s.patience;
  auto met = reach(server, until);
  if (!met) return {{state_t::error, server.text() + ": " + met.error().detail}};
  const auto tcp = server.text() + ": connected to " + met->address + " in " + in_ms(met->took);
  const auto context = crypto::make_client_tls(
      {c.tls.ca.string(), c.tls.certificate.string(), c.tls.key.string(), c.tls.crl.string()});
  if (!context)
    return {{state_t::warning,
             tcp + ", but there was no handshake, because the own TLS files cannot be used; the lines "
                   "about files and certificates give the reason"}};
  const auto begun = monotonic::now();
  const auto left = std::max(milliseconds{1}, std::chrono::duration_cast<milliseconds>(until - begun));
  const auto greeting = crypto::try_handshake(met->socket.get(), *context, c.server_uri, left);
  if (!greeting)
    return {
        {state_t::error, tcp + "; TLS handshake: " + greeting.error().detail +
                             "; compare tls.ca, tls.certificate and server_uri with the other side, and read "
                             "gateway-refused in the server's log"}};
  return {{state_t::ok, tcp + ", TLS handshake in " + in_ms(monotonic::now() - begun) + " as " +
                            greeting->uri + ", whose certificate ends on " +
                            utc_text(unix_seconds(greeting->ends))}};
}

}  // namespace cpns::cli::doctor
