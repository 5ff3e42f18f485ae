// Simulates gateways that keep a connection and ask nothing. bench/idle_connections runs it.
//
//   bench_waiting certify HOME GATEWAYS            creates certificates in a folder of `cpns init`
//   bench_waiting drive HOME GATEWAYS HOST PORT    does one step for each line of its input, and answers it by a line
//
// Steps: `silent` opens a TCP connection for each gateway and sends nothing; `handshake` closes those, connects all gateways
// and does the handshakes; `burst` sends 16 small requests and a report of 256 entities from each gateway at once, then reads
// all answers, of which some may be refusals of a server that is busy; `leave` closes all connections.

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/gateway_files.hpp"
#include "bench/link_frames.hpp"
#include "bench/program.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/node_codec.hpp"

namespace cpns::bench {
namespace {

constexpr int small_requests = 16;
constexpr std::size_t answers_wanted = small_requests + 1;
constexpr time_t answer_within = 60;  // s

tl::unexpected<error> lost(int gateway, std::string_view what) {
  return fail(errc::peer_closed, "gateway " + std::to_string(gateway) + " " + std::string{what});
}

/// One gateway, with a blocking socket.
class waiting_gateway {
 public:
  explicit waiting_gateway(int number) : number_(number) {}
  waiting_gateway(const waiting_gateway&) = delete;
  waiting_gateway& operator=(const waiting_gateway&) = delete;
  ~waiting_gateway() { leave(); }

  status connect(const sockaddr_in& to) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval within{answer_within, 0};
    const int yes = 1;
    if (socket_ < 0 || ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &within, sizeof within) != 0 ||
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes) != 0 ||
        ::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      return lost(number_, "cannot connect to the server: " + std::string{std::strerror(errno)});
    return {};
  }
  status shake_hands(const std::filesystem::path& home) {
    CPNS_TRY(const auto context, client_of(home, number_));
    tls_.reset(SSL_new(context.get()));
    if (SSL_set_fd(tls_.get(), socket_) != 1 || SSL_connect(tls_.get()) != 1)
      return lost(number_, crypto::tls_refusal(tls_.get()));
    return {};
  }
  status ask() {
    bytes out;
    protocol::link_request r;
    for (int i = 0; i < small_requests; ++i) {
      r.id = crypto::system_entropy().draw_id<request_id>();
      r.body = protocol::issuer_nonce_request{};
      append_frame(out, r);
    }
    protocol::epoch_report report;
    for (std::size_t d = 0; d < protocol::reports_in_message_max; ++d)
      report.entries.emplace_back(
          entity_id::parse(device_name(std::to_string(number_) + "." + std::to_string(d))).value(),
          epoch{1, 1});
    r.id = crypto::system_entropy().draw_id<request_id>();
    r.body = std::move(report);
    append_frame(out, r);
    if (SSL_write(tls_.get(), out.data(), static_cast<int>(out.size())) != static_cast<int>(out.size()))
      return lost(number_, "cannot send");
    return {};
  }
  status read_answers() {
    bytes body;
    for (std::size_t n = 0; n < answers_wanted;) {
      byte_array<frame_head> head{};
      CPNS_CHECK(read(head));
      body.resize(frame_size(head.data()));
      CPNS_CHECK(read(body));
      if (protocol::begins_node_request(body)) continue;  // of a cluster
      if (const auto a = protocol::decode_link_answer(body); !a) return fail(a.error());
      ++n;
    }
    return {};
  }
  void leave() {
    tls_.reset();
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }

 private:
  struct tls_free {
    void operator()(SSL* s) const noexcept { SSL_free(s); }
  };
  status read(std::span<std::uint8_t> to) {
    while (!to.empty()) {
      const int n = SSL_read(tls_.get(), to.data(), static_cast<int>(to.size()));
      if (n <= 0) return lost(number_, "got no answer in time, or lost its connection");
      to = to.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }

  const int number_;
  int socket_ = -1;
  std::unique_ptr<SSL, tls_free> tls_;
};

using gateways = std::vector<std::unique_ptr<waiting_gateway>>;

status do_step(const std::string& step, gateways& all, const std::filesystem::path& home,
               const sockaddr_in& to) {
  if (step == "leave" || step == "handshake")
    for (auto& g : all) g->leave();
  if (step == "silent")
    for (auto& g : all) CPNS_CHECK(g->connect(to));
  if (step == "handshake")
    for (auto& g : all) {
      CPNS_CHECK(g->connect(to));
      CPNS_CHECK(g->shake_hands(home));
    }
  if (step == "burst") {
    for (auto& g : all) CPNS_CHECK(g->ask());
    for (auto& g : all) CPNS_CHECK(g->read_answers());
  }
  return {};
}

status drive(const std::filesystem::path& home, int count, const std::string& host, const std::string& port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
  if (::inet_pton(AF_INET, host.c_str(), &to.sin_addr) != 1)
    return fail(errc::config_range, host + " is not an IPv4 address");
  gateways all;
  for (int g = 0; g < count; ++g) all.push_back(std::make_unique<waiting_gateway>(g));
  for (std::string step; std::getline(std::cin, step);) {
    const auto begun = clock::now();
    CPNS_CHECK(do_step(step, all, home, to));
    std::printf("%.2f\n", std::chrono::duration<double>(clock::now() - begun).count());
    std::fflush(stdout);
  }
  return {};
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  using namespace cpns::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 3 && args[0] == "certify")
    return exit_code("bench_waiting", certify(args[1], std::stoi(args[2])));
  if (args.size() == 5 && args[0] == "drive")
    return exit_code("bench_waiting", drive(args[1], std::stoi(args[2]), args[3], args[4]));
  return usage("usage: bench_waiting certify HOME GATEWAYS\n"
               "       bench_waiting drive HOME GATEWAYS HOST PORT\n");
}
