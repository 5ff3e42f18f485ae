// The server's side of TLS on a socket: records that come in parts, sockets that take parts, and what is kept in between.

#include "crypto/tls_channel.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <malloc.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tls_pair.hpp"

namespace cpns::crypto {
namespace {

using testing::HasSubstr;
using state = tls_channel::state;

/// A client over a socket that does not block, and the channel at its other end.
struct ends {
  using ssl_ptr = std::unique_ptr<SSL, decltype(&SSL_free)>;

  explicit ends(const tls_home& home) : ends(home, make_server_tls(home.server).value()) {}
  ends(const tls_home& home, tls_context server_context)
      : client_context(make_client_tls(home.client).value()),
        client(SSL_new(client_context.get()), SSL_free) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sockets) != 0) std::abort();
    SSL_set_fd(client.get(), sockets[0]);
    SSL_set_connect_state(client.get());
    server = std::make_unique<tls_channel>(std::move(server_context), sockets[1]);
  }
  ends(const ends&) = delete;
  ends& operator=(const ends&) = delete;
  ~ends() {
    client.reset();
    server.reset();
    for (const int s : sockets)
      if (s >= 0) ::close(s);
  }
  /// Both ends, until the server is done.
  [[nodiscard]] bool shake_hands() {
    for (int i = 0; i < 10; ++i) {
      (void)SSL_do_handshake(client.get());
      const auto o = server->handshake();
      if (o.what != state::readable) return o.what == state::done;
    }
    return false;
  }
  void leave() { ::close(std::exchange(sockets[0], -1)); }
  [[nodiscard]] bool say(std::string_view text) {
    ERR_clear_error();
    return SSL_write(client.get(), text.data(), static_cast<int>(text.size())) ==
           static_cast<int>(text.size());
  }
  /// What the client has received.
  [[nodiscard]] std::string heard() {
    std::string out(65'536, 0);
    ERR_clear_error();
    const int n = SSL_read(client.get(), out.data(), static_cast<int>(out.size()));
    out.resize(static_cast<std::size_t>(std::max(0, n)));
    return out;
  }
  /// What the server receives at once.
  [[nodiscard]] std::string receive() {
    bytes out;
    last = server->receive(out);
    return std::string{as_text(out)};
  }

  tls_context client_context;
  ssl_ptr client;
  int sockets[2] = {-1, -1};
  std::unique_ptr<tls_channel> server;
  tls_channel::outcome last;
};

struct tls_channel_of : testing::Test {
  tls_home home;
};

TEST_F(tls_channel_of, a_client_passes_data_both_ways) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  EXPECT_EQ(peer_uri(e.server->native()).value(), "urn:cpns:gw:hall");
  EXPECT_EQ(e.receive(), "");
  EXPECT_EQ(e.last.what, state::readable);
  ASSERT_TRUE(e.say("a request"));
  ASSERT_TRUE(e.say(", and a further one"));
  EXPECT_EQ(e.receive(), "a request, and a further one") << "all records that came";
  EXPECT_EQ(e.server->send(as_bytes("an answer")).what, state::done);
  EXPECT_EQ(e.heard(), "an answer");
}

TEST_F(tls_channel_of, a_client_without_a_byte_has_no_objects_of_tls) {
  ends e{home};
  EXPECT_EQ(e.server->handshake().what, state::readable);
  EXPECT_FALSE(e.server->heard());
  EXPECT_EQ(e.server->native(), nullptr);
  e.leave();
  EXPECT_EQ(e.server->handshake().what, state::truncated);
  EXPECT_FALSE(e.server->heard());
}

TEST_F(tls_channel_of, a_client_whose_records_come_byte_by_byte_is_served) {
  ends e{home};
  int slow[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, slow), 0);
  tls_channel server{make_server_tls(home.server).value(), slow[1]};
  bytes got;
  tls_channel::outcome o{state::readable};
  bool shaken = false;
  // e.sockets[1] is the client's end of a wire that passes one byte at a time.
  const auto pass = [&] {
    std::uint8_t byte = 0;
    while (::read(e.sockets[1], &byte, 1) == 1) {
      ASSERT_EQ(::write(slow[0], &byte, 1), 1);
      if (!shaken) {
        o = server.handshake();
        shaken = o.what == state::done;
      } else {
        o = server.receive(got);
      }
      ASSERT_TRUE(o.what == state::readable || o.what == state::done);
    }
    bytes back(65'536);
    const auto n = ::read(slow[0], back.data(), back.size());
    if (n > 0) {
      ASSERT_EQ(::write(e.sockets[1], back.data(), static_cast<std::size_t>(n)), n);
    }
  };
  for (int i = 0; i < 10 && !shaken; ++i) {
    (void)SSL_do_handshake(e.client.get());
    pass();
  }
  ASSERT_TRUE(shaken);
  ASSERT_TRUE(e.say("slowly"));
  pass();
  EXPECT_EQ(as_text(got), "slowly");
  for (const int s : slow) ::close(s);
}

TEST_F(tls_channel_of, a_client_that_speaks_with_its_last_message_of_the_handshake_is_heard) {
  ends e{home};
  for (int i = 0; SSL_do_handshake(e.client.get()) != 1; ++i) {
    ASSERT_LT(i, 10);
    ASSERT_EQ(e.server->handshake().what, state::readable);
  }
  ASSERT_TRUE(e.say("at once"));
  ASSERT_EQ(e.server->handshake().what, state::done);
  EXPECT_TRUE(e.server->has_input()) << "the socket has no event for it any more";
  EXPECT_EQ(e.receive(), "at once");
  EXPECT_FALSE(e.server->has_input());
}

TEST_F(tls_channel_of, a_client_that_reads_late_gets_every_byte) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  std::string all;
  for (int i = 0; all.size() < 1'000'000; ++i) all += std::to_string(i);
  std::string got;
  byte_view rest = as_bytes(all);
  int waits = 0;
  for (;;) {
    const auto o = e.server->send(rest);
    rest = rest.subspan(o.size);
    if (o.what == state::done) break;
    ASSERT_EQ(o.what, state::writable);
    ++waits;
    for (auto part = e.heard(); !part.empty(); part = e.heard()) got += part;
  }
  for (auto part = e.heard(); !part.empty(); part = e.heard()) got += part;
  EXPECT_TRUE(rest.empty());
  EXPECT_GT(waits, 2) << "the socket took everything: nothing is tested";
  EXPECT_EQ(got, all);
}

TEST_F(tls_channel_of, a_client_that_changes_its_keys_is_served) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(SSL_key_update(e.client.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_TRUE(e.say("with new keys"));
    EXPECT_EQ(e.receive(), "with new keys");
    EXPECT_EQ(e.server->send(as_bytes("so am I")).what, state::done);
    EXPECT_EQ(e.heard(), "so am I");
  }
}

TEST_F(tls_channel_of, a_client_that_makes_it_answer_and_never_reads_is_bounded) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  for (int i = 0; i < 100'000 && e.last.what != state::io_fault; ++i) {
    ASSERT_EQ(SSL_key_update(e.client.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_TRUE(e.say("."));
    (void)e.receive();
  }
  EXPECT_EQ(e.last.what, state::io_fault);
  EXPECT_EQ(e.last.code, static_cast<unsigned long>(ENOBUFS));
}

TEST_F(tls_channel_of, a_client_that_closes_is_heard_to_the_end) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  ASSERT_TRUE(e.say("bye"));
  (void)SSL_shutdown(e.client.get());
  EXPECT_EQ(e.receive(), "bye");
  EXPECT_EQ(e.last.what, state::readable);
  EXPECT_TRUE(e.server->has_input());
  EXPECT_EQ(e.receive(), "");
  EXPECT_EQ(e.last.what, state::closed);
  EXPECT_EQ(e.server->shut_down().what, state::done);
  EXPECT_EQ(e.heard(), "");
  EXPECT_EQ(SSL_get_shutdown(e.client.get()), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

TEST_F(tls_channel_of, a_client_that_drops_tcp_is_told_apart) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  e.leave();
  EXPECT_EQ(e.receive(), "");
  EXPECT_EQ(e.last.what, state::truncated);
}

TEST_F(tls_channel_of, a_client_is_waited_for_when_the_server_closes) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  EXPECT_EQ(e.server->shut_down().what, state::readable);
  EXPECT_EQ(e.heard(), "");
  EXPECT_EQ(SSL_get_shutdown(e.client.get()) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
  EXPECT_EQ(e.server->shut_down().what, state::readable);
  (void)SSL_shutdown(e.client.get());
  EXPECT_EQ(e.server->shut_down().what, state::done);
}

TEST_F(tls_channel_of, a_client_with_a_damaged_record_is_refused) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  const byte_array<27> forged{23, 3, 3, 0, 22};
  ASSERT_EQ(::write(e.sockets[0], forged.data(), forged.size()), 27);
  EXPECT_EQ(e.receive(), "");
  EXPECT_EQ(e.last.what, state::tls_fault);
}

TEST_F(tls_channel_of, a_client_without_a_certificate_is_told_so) {
  ends e{home};
  const auto careless_client = careless(false, nullptr);
  e.client.reset(SSL_new(careless_client.get()));
  SSL_set_fd(e.client.get(), e.sockets[0]);
  SSL_set_connect_state(e.client.get());
  EXPECT_FALSE(e.shake_hands());
  std::uint8_t byte = 0;
  ERR_clear_error();
  EXPECT_LE(SSL_read(e.client.get(), &byte, 1), 0);
  EXPECT_EQ(tls_refusal(e.client.get()), "the peer requires a certificate and got none");
}

TEST_F(tls_channel_of, a_client_that_does_not_speak_tls_is_refused_without_waiting_for_a_record) {
  ends e{home};
  ASSERT_EQ(::write(e.sockets[0], "GET / HTTP/1.1\r\n", 16), 16);
  const auto o = e.server->handshake();
  ASSERT_EQ(o.what, state::tls_fault);
  EXPECT_EQ(tls_refusal(e.server->native(), o.code), "the peer does not speak TLS");
}

TEST_F(tls_channel_of, a_client_keeps_its_identity_without_the_chain_that_it_sent) {
  ends e{home};
  ASSERT_TRUE(e.shake_hands());
  ASSERT_GT(sk_X509_num(SSL_get_peer_cert_chain(e.server->native())), 0);
  e.server->drop_sent_chain();
  EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(e.server->native())), 0);
  EXPECT_EQ(peer_uri(e.server->native()).value(), "urn:cpns:gw:hall");
  EXPECT_EQ(sk_X509_num(SSL_get0_verified_chain(e.server->native())), 2)
      << "for revocation lists that come later";
  ASSERT_TRUE(e.say("still here"));
  EXPECT_EQ(e.receive(), "still here");
}

TEST_F(tls_channel_of, idle_clients_take_less_than_24_kib_each) {
  if (::mallinfo2().uordblks == 0) GTEST_SKIP() << "a sanitizer has its own allocator";
  constexpr std::size_t count = 50;
  std::vector<std::unique_ptr<ends>> all;
  const auto in_use = [] {
    const auto m = ::mallinfo2();
    return m.uordblks + m.hblkhd;
  };
  const auto talk = [](ends& e) {
    ASSERT_TRUE(e.shake_hands());
    e.server->drop_sent_chain();
    const std::string much(16'000, 'x');
    ASSERT_TRUE(e.say(much));
    EXPECT_EQ(e.receive(), much);
    EXPECT_EQ(e.server->send(as_bytes(much)).what, state::done);
    EXPECT_EQ(e.heard(), much);
  };
  const auto context = always(make_server_tls(home.server).value());
  for (std::size_t i = 0; i <= count; ++i) {  // the first one makes what all share
    all.push_back(std::make_unique<ends>(home, context().value()));
    talk(*all.back());
  }
  const auto with = in_use();
  for (std::size_t i = 1; i <= count; ++i) all[i]->server.reset();
  EXPECT_LT((with - in_use()) / count, 24U * 1024);
}

}  // namespace
}  // namespace cpns::crypto
