// A closed loop of requests on another server that checks who asks, over UDP. bench/peers runs it.
//
//   bench_peers kerberos REALM  HOST PORT USERS SECONDS    AS-REQ with an encrypted timestamp, made for each request
//   bench_peers radius   SECRET HOST PORT USERS SECONDS    Access-Request with a password (PAP)
//
// USERS is a file with one user a line: the name, a tab, and in hexadecimal the key (aes256-cts-hmac-sha1-96) or the password. 64
// requests are in flight, from 8 ports. Prints a line of JSON. Exit codes: 0 every request was granted, 1 not every one, or
// another error, 2 usage.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bench/kerberos_requests.hpp"
#include "bench/program.hpp"
#include "bench/radius_requests.hpp"

namespace cpns::bench {
namespace {

using clock = std::chrono::steady_clock;
using users = std::vector<std::pair<std::string, bytes>>;

constexpr std::size_t lanes = 8, in_flight_of_a_lane = 8;
constexpr milliseconds answer_within{1000};

struct counts {
  std::uint64_t granted = 0, refused = 0, lost = 0;
  double took_s = 0;
};

/// UDP sockets that are connected to one server.
class ports {
 public:
  ports(const char* host, int port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1)
      throw std::runtime_error(std::string{host} + " is not an IPv4 address");
    for (std::size_t i = 0; i < lanes; ++i) {
      const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
        throw std::runtime_error(std::string{"cannot open a port: "} + std::strerror(errno));
      all.push_back({fd, POLLIN, 0});
    }
  }
  ~ports() {
    for (const auto& p : all) ::close(p.fd);
  }
  ports(const ports&) = delete;
  ports& operator=(const ports&) = delete;

  void send(std::size_t lane, const bytes& request) {
    if (::send(all[lane].fd, request.data(), request.size(), 0) < 0)
      throw std::runtime_error(std::string{"cannot send: "} + std::strerror(errno));
  }
  /// nullopt: nothing is there.
  std::optional<byte_view> receive(std::size_t lane) {
    const auto n = ::recv(all[lane].fd, buffer_, sizeof buffer_, 0);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
      throw std::runtime_error(std::string{"the server does not answer: "} + std::strerror(errno));
    return n < 0 ? std::nullopt : std::optional{byte_view{buffer_, static_cast<std::size_t>(n)}};
  }
  /// False: nothing came within that time.
  bool wait(milliseconds most) { return ::poll(all.data(), all.size(), static_cast<int>(most.count())) > 0; }

  std::vector<pollfd> all;

 private:
  std::uint8_t buffer_[4096];
};

template <class Requests>
counts drive(Requests& requests, ports& to, seconds time) {
  counts out;
  std::size_t pending = 0;
  const auto begun = clock::now();
  for (std::size_t lane = 0; lane < lanes; ++lane)
    for (std::size_t i = 0; i < in_flight_of_a_lane; ++i, ++pending) to.send(lane, requests.next(lane));
  while (pending > 0) {
    if (!to.wait(answer_within)) {
      out.lost = pending;
      break;
    }
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      if (to.all[lane].revents == 0) continue;
      while (const auto answer = to.receive(lane)) {
        ++(requests.granted(lane, *answer) ? out.granted : out.refused);
        if (clock::now() - begun < time)
          to.send(lane, requests.next(lane));
        else
          --pending;
      }
    }
  }
  out.took_s = std::chrono::duration<double>(clock::now() - begun).count();
  return out;
}

/// A KDC that lets clients in without their key would be measured at less work.
void check_that_the_key_is_needed(kerberos_requests& requests, ports& to) {
  to.send(0, requests.without_proof());
  if (!to.wait(answer_within)) throw std::runtime_error("the KDC does not answer");
  const auto answer = to.receive(0);
  if (!answer || requests.granted(0, *answer))
    throw std::runtime_error("the KDC answers without the client's key");
}

users read_users(const std::string& file) {
  users out;
  std::ifstream in{file};
  for (std::string line; std::getline(in, line);) {
    const auto tab = line.find('\t');
    const auto key =
        tab == std::string::npos ? std::nullopt : from_hex(std::string_view{line}.substr(tab + 1));
    if (!key || key->empty())
      throw std::runtime_error(file + ": a line is not a name, a tab and hexadecimal digits");
    out.emplace_back(line.substr(0, tab), *key);
  }
  if (out.empty()) throw std::runtime_error(file + " has no user");
  return out;
}

counts run(const std::vector<std::string>& args) {
  ports to{args[2].c_str(), std::stoi(args[3])};
  const seconds time{std::stoi(args[5])};
  auto names = read_users(args[4]);
  if (args[0] == "radius") {
    radius_requests requests{args[1], std::move(names), lanes};
    return drive(requests, to, time);
  }
  for (const auto& [name, key] : names)
    if (key.size() != 32)
      throw std::runtime_error("the key of " + name + " is not one of aes256-cts-hmac-sha1-96");
  kerberos_requests requests{args[1], names};
  check_that_the_key_is_needed(requests, to);
  return drive(requests, to, time);
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() != 6 || (args[0] != "kerberos" && args[0] != "radius"))
    return cpns::bench::usage("usage: bench_peers kerberos REALM  HOST PORT USERS SECONDS\n"
                              "       bench_peers radius   SECRET HOST PORT USERS SECONDS\n");
  try {
    const auto c = cpns::bench::run(args);
    std::printf("{\"granted\": %llu, \"refused\": %llu, \"lost\": %llu, \"seconds\": %.3f}\n",
                static_cast<unsigned long long>(c.granted), static_cast<unsigned long long>(c.refused),
                static_cast<unsigned long long>(c.lost), c.took_s);
    return c.granted > 0 && c.refused + c.lost == 0 ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_peers: %s\n", e.what());
    return 1;
  }
}
