// Reachability: the servers of a gateway, and the address of a server.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>

#include "base/descriptor.hpp"
#include "base/dial.hpp"
#include "base/text.hpp"
#include "cli/doctor/doctor.hpp"
#include "config/describe.hpp"
#include "config/values.hpp"
#include "crypto/tls_probe.hpp"
#include "crypto/tls_psk.hpp"

namespace cpns::cli::doctor {
namespace {

using monotonic = std::chrono::steady_clock;

std::string in_ms(monotonic::duration d) {
  return std::to_string(std::chrono::duration_cast<milliseconds>(d).count()) + " ms";
}

/// The advice for an address that cannot be reached.
constexpr std::string_view reach_advice = "; look whether the server runs, whether its listen address is "
                                          "that one, and for firewalls and routes between "
                                          "the machines";

result<reached> reach(const config::address& to, monotonic::time_point until) {
  auto met = cpns::reach(to.host, to.port, until);
  if (!met) met.error().detail += reach_advice;
  return met;
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

/// Binds the address of a stopped role for a moment, without listening: nobody can connect to it. `key`: its setting.
line stopped_address(const std::string& key, const config::address& at, const std::string& role) {
  const auto all = resolve(at.host, at.port);
  if (!all)
    return {state_t::warning, key + ": " + all.error().detail + "; until then the " + role + " waits"};
  const auto& a = **all;
  const descriptor s(::socket(a.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  if (!s.valid()) return {state_t::error, "a socket cannot be made: " + std::string{std::strerror(errno)}};
  (void)::setsockopt(s.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(s.get(), a.ai_addr, a.ai_addrlen) == 0)
    return {state_t::ok,
            "the " + role + " does not run, and its address " + at.text() + " (" + key + ") is free"};
  const auto why = key + ": " + at.text() + ": " + std::strerror(errno);
  if (errno == EADDRINUSE)
    return {state_t::error, why + "; another process uses the port: `ss -ltnp` shows it; stop it, or choose "
                                  "another port"};
  if (errno == EADDRNOTAVAIL)
    return {state_t::warning,
            why + "; the machine does not have this address now, and the " + role + " waits until it has"};
  return {state_t::warning,
          why + "; run the command with the rights of the " + role + ", or choose a port of 1024 or higher"};
}

result<crypto::tls_context> context_of(const config::gateway_config& c) {
  if (c.tls)
    return crypto::make_client_tls(
        {c.tls->ca.string(), c.tls->certificate.string(), c.tls->key.string(), c.tls->crl.string()});
  CPNS_TRY(const auto key, crypto::psk_key::read(c.psk->key_file));
  return crypto::make_psk_client_tls(c.psk->identity, key);
}

}  // namespace

lines check_listening(const subject& s) {
  const auto& c = std::get<config::server_config>(s.file.config);
  // A server with its store in memory may run unseen.
  if (s.running()) return {running_server(c, s.patience)};
  return {stopped_address("listen", c.listen, "server")};
}

lines check_api_addresses(const subject& s) {
  const auto& api =
      std::visit([](const auto& c) -> const config::api_config& { return c.api; }, s.file.config);
  const std::string role{config::word_of(s.file.role)};
  lines out;
  if (api.probes) out.push_back(stopped_address("api.probes", *api.probes, role));
  if (api.listen) out.push_back(stopped_address("api.listen", *api.listen, role));
  return out;
}

lines check_server(const subject& s, const config::address& server) {
  const auto& c = std::get<config::gateway_config>(s.file.config);
  const auto until = monotonic::now() + s.patience;
  auto met = reach(server, until);
  if (!met) return {{state_t::error, server.text() + ": " + met.error().detail}};
  const auto tcp = server.text() + ": connected to " + met->address + " in " + in_ms(met->took);
  const auto context = context_of(c);
  if (!context)
    return {
        {state_t::warning,
         tcp + ", but there was no handshake, because the own TLS files or the key cannot be used; the lines "
               "about files and certificates give the reason"}};
  const auto begun = monotonic::now();
  const auto left = std::max(milliseconds{1}, std::chrono::duration_cast<milliseconds>(until - begun));
  const auto greeting =
      crypto::try_handshake(met->socket.get(), *context, c.psk ? c.psk->identity : c.server_uri, left);
  if (!greeting)
    return {{state_t::error,
             tcp + "; TLS handshake: " + greeting.error().detail + "; compare " +
                 (c.psk ? "psk.identity and psk.key_file" : "tls.ca, tls.certificate and server_uri") +
                 " with the other side, and read gateway-refused in the server's log"}};
  const auto done = tcp + ", TLS handshake in " + in_ms(monotonic::now() - begun);
  if (!greeting->ends) return {{state_t::ok, done + " by the pre-shared key of " + greeting->name}};
  return {{state_t::ok, done + " as " + greeting->name + ", whose certificate ends on " +
                            utc_text(unix_seconds(*greeting->ends))}};
}

}  // namespace cpns::cli::doctor
