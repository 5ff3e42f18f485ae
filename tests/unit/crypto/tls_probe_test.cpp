// One handshake with a server, as `cpns doctor` does it.
#include "crypto/tls_probe.hpp"

#include <gmock/gmock.h>
#include <openssl/err.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "crypto_test.hpp"
#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using testing::HasSubstr;

/// A server at the other end of a pair of sockets, in a thread of its own.
struct tls_probe : testing::Test {
  tls_home home;
  int ends[2] = {-1, -1};
  std::thread server;

  tls_probe() {
    ::signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  }
  ~tls_probe() override {
    ::shutdown(ends[0], SHUT_RDWR);
    if (server.joinable()) server.join();
    ::close(ends[0]);
  }
  /// Does the handshake, then `after` if it succeeded, and closes its socket.
  void serve(const tls_files& files, std::function<void(SSL*)> after) {
    server = std::thread([this, files, after = std::move(after)] {
      const auto context = make_server_tls(files).value();
      const std::unique_ptr<SSL, decltype(&SSL_free)> ssl{SSL_new(context.get()), SSL_free};
      SSL_set_fd(ssl.get(), ends[1]);
      if (SSL_accept(ssl.get()) == 1) after(ssl.get());
      ::close(ends[1]);
    });
  }
  static void wait_for_goodbye(SSL* ssl) {
    char byte = 0;
    EXPECT_EQ(SSL_read(ssl, &byte, 1), 0);
    EXPECT_EQ(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
    SSL_shutdown(ssl);
  }
  result<tls_greeting> probe(const std::string& uri = "urn:cpns:server:one",
                             milliseconds timeout = seconds{10}) {
    const auto context = make_client_tls(home.client).value();
    return try_handshake(ends[0], context, uri, timeout);
  }
};

TEST_F(tls_probe, greets_a_server_and_leaves_it_properly) {
  serve(home.server, wait_for_goodbye);
  const auto met = probe();
  ASSERT_TRUE(met) << met.error().message();
  EXPECT_EQ(met->name, "urn:cpns:server:one");
  EXPECT_GT(met->ends, now_wall());
}

TEST_F(tls_probe, reports_why_the_server_refuses_the_own_certificate) {
  const auto stranger = make_ca("stranger", 2).value();
  home.client = home.files("strange", request_for(certificate_usage::client, "urn:cpns:gw:hall"), &stranger);
  serve(home.server, [](SSL*) { ADD_FAILURE() << "accepted"; });
  const auto met = probe();
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, errc::peer_closed);
  EXPECT_THAT(met.error().detail, HasSubstr("the peer refused our certificate: it does not know the CA"));
}

TEST_F(tls_probe, reports_a_server_of_another_name) {
  serve(home.server, [](SSL*) {});
  const auto met = probe("urn:cpns:server:two");
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, errc::peer_identity);
  EXPECT_THAT(met.error().detail, HasSubstr("the peer is urn:cpns:server:one, expected urn:cpns:server:two"));
}

TEST_F(tls_probe, reports_a_server_that_drops_it_after_the_handshake) {
  serve(home.server, [](SSL*) {});
  const auto met = probe();
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, errc::peer_closed);
  EXPECT_THAT(met.error().detail, HasSubstr("is not one of its gateway_uris"));
}

TEST_F(tls_probe, reports_a_peer_that_does_not_speak_tls) {
  server = std::thread([this] {
    EXPECT_EQ(::write(ends[1], "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 28);
    char skipped[4096];
    while (::read(ends[1], skipped, sizeof skipped) > 0) {
    }
    ::close(ends[1]);
  });
  const auto met = probe();
  ASSERT_FALSE(met);
  EXPECT_THAT(met.error().detail, HasSubstr("the peer does not speak TLS"));
}

TEST_F(tls_probe, gives_up_a_silent_peer_and_one_that_never_ends) {
  const auto silent = probe("urn:cpns:server:one", milliseconds{50});
  ASSERT_FALSE(silent);
  EXPECT_EQ(silent.error().code, errc::peer_timeout);
  ::close(ends[0]);
  ::close(ends[1]);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  serve(home.server, [](SSL* ssl) {
    const std::string frames(16'000, 'x');
    while (SSL_write(ssl, frames.data(), static_cast<int>(frames.size())) > 0) {
    }
  });
  const auto flooded = probe("urn:cpns:server:one", milliseconds{500});
  ASSERT_FALSE(flooded);
  EXPECT_EQ(flooded.error().code, errc::peer_timeout);
}

}  // namespace
}  // namespace cpns::crypto
