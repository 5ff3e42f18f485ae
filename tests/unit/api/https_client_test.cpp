// The client of an HTTPS service, against services in threads of the test that hang, trickle, end early or are another machine.
#include "api/https_client.hpp"

#include <gmock/gmock.h>
#include <poll.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "base/text.hpp"
#include "slow_resolver.hpp"
#include "tests/unit/crypto/tls_pair.hpp"

namespace cpns::api {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using testing::HasSubstr;
using testing::StartsWith;

using tls_stream = asio::ssl::stream<tcp::socket>;

/// One request of the client; empty: it closed the connection.
std::string read_request(tls_stream& s) {
  std::string head;
  error_code ec;
  asio::read_until(s, asio::dynamic_buffer(head, 8192), "\r\n\r\n", ec);
  return ec ? std::string{} : head;
}
bool send(tls_stream& s, std::string_view text) {
  error_code ec;
  asio::write(s, asio::buffer(text.data(), text.size()), ec);
  return !ec;
}
/// Answers until the client closes.
void answer_all(tls_stream& s, const std::string& text) {
  while (!read_request(s).empty() && send(s, text)) {
  }
}
std::string good(const std::string& body, const std::string& more = {}) {
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + more +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Does the n-th thing of `talks` with the n-th connection, and closes it; connections beyond these are closed at once.
class service {
 public:
  using talk = std::function<void(tls_stream&)>;
  service(crypto::tls_context context, std::vector<talk> talks)
      : tls_(context.release()), talks_(std::move(talks)),
        acceptor_(io_, tcp::endpoint{asio::ip::address_v4::loopback(), 0}) {
    accept();
    accepting_ = std::thread([this] { io_.run(); });
  }
  /// After the client, so that no talk waits for it.
  ~service() {
    asio::post(io_, [this] { acceptor_.close(); });
    accepting_.join();
    for (auto& t : threads_) t.join();
  }
  service(const service&) = delete;
  service& operator=(const service&) = delete;
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] std::size_t connections() const { return connections_; }

 private:
  void accept() {
    acceptor_.async_accept([this](const error_code& ec, tcp::socket socket) {
      if (ec) return;
      const std::size_t n = connections_++;
      if (n < talks_.size())
        threads_.emplace_back([this, n, s = std::move(socket)]() mutable { serve(n, std::move(s)); });
      accept();
    });
  }
  void serve(std::size_t n, tcp::socket socket) {
    tls_stream s{std::move(socket), tls_};
    error_code ec;
    s.handshake(asio::ssl::stream_base::server, ec);
    if (!ec) talks_[n](s);
    s.next_layer().close(ec);
  }

  asio::io_context io_;
  asio::ssl::context tls_;
  const std::vector<talk> talks_;
  tcp::acceptor acceptor_;
  std::atomic<std::size_t> connections_ = 0;
  std::vector<std::thread> threads_;  ///< of `accepting_` until it has ended
  std::thread accepting_;
};

class https_client_test : public testing::Test {
 protected:
  crypto::tls_home home;
  crypto::certificate_request names = named("127.0.0.1");
  std::optional<service> peer;
  std::optional<https_client> client;
  https_settings settings{.host = "127.0.0.1"};
  https_client::revocation revoked;

  static crypto::certificate_request named(const std::string& ip) {
    auto r = crypto::request_for(crypto::certificate_usage::server, "urn:maker:service");
    r.ips = {ip};
    return r;
  }
  ~https_client_test() override { client.reset(); }

  void serve(std::vector<service::talk> talks, const crypto::identity* issuer = nullptr,
             int newest = TLS1_3_VERSION) {
    const auto files = home.files("service", names, issuer);
    auto context = crypto::careless(true, &files);
    ASSERT_EQ(SSL_CTX_set_max_proto_version(context.get(), newest), 1);
    peer.emplace(std::move(context), std::move(talks));
    settings.port = peer->port();
    connect();
  }
  void connect() {
    client.emplace(
        settings, [files = home.client] { return crypto::make_api_client_tls(files); }, revoked);
  }
  std::future<https_outcome> begin(const std::string& target, milliseconds limit = seconds{20}) {
    auto promised = std::make_shared<std::promise<https_outcome>>();
    auto out = promised->get_future();
    client->get(target, limit, [promised](https_outcome o) { promised->set_value(std::move(o)); });
    return out;
  }
  https_outcome ask(const std::string& target = "/v1/x", milliseconds limit = seconds{20}) {
    return begin(target, limit).get();
  }
  void expect_fault(const https_outcome& o, https_fault kind, const std::string& why) {
    ASSERT_FALSE(o.has_value());
    EXPECT_EQ(o.error().kind, kind) << o.error().why;
    EXPECT_THAT(o.error().why, HasSubstr(why));
  }
  static std::string body_of(const https_outcome& o) {
    return o ? std::string{as_text(o->body.expose())} : "no answer: " + o.error().why;
  }
};

TEST_F(https_client_test, sends_its_queries_over_one_kept_connection) {
  std::vector<std::string> heads;
  serve({[&heads](tls_stream& s) {
    for (auto head = read_request(s); !head.empty(); head = read_request(s)) {
      heads.push_back(head);
      send(s, good("{}", "Retry-After: 7\r\n"));
    }
  }});
  for (const auto* target : {"/v1/a", "/v1/b"}) {
    const auto o = ask(target);
    ASSERT_EQ(body_of(o), "{}");
    EXPECT_EQ(o->status, 200U);
    EXPECT_EQ(o->type, "application/json");
    EXPECT_EQ(o->retry_after, seconds{7});
  }
  EXPECT_EQ(peer->connections(), 1U);
  client.reset();
  peer.reset();  // its threads wrote `heads`
  ASSERT_EQ(heads.size(), 2U);
  EXPECT_THAT(heads[0], StartsWith("GET /v1/a HTTP/1.1\r\n"));
  EXPECT_THAT(heads[1], StartsWith("GET /v1/b HTTP/1.1\r\n"));
  EXPECT_THAT(heads[1], HasSubstr("Host: 127.0.0.1:" + std::to_string(settings.port) + "\r\n"));
}

TEST_F(https_client_test, sends_a_query_once_more_if_its_kept_connection_was_closed) {
  serve({[](tls_stream& s) {
           read_request(s);
           send(s, good("1"));
         },
         [](tls_stream& s) { answer_all(s, good("2")); }});
  EXPECT_EQ(body_of(ask()), "1");
  EXPECT_EQ(body_of(ask()), "2");
  EXPECT_EQ(peer->connections(), 2U);
}

TEST_F(https_client_test, gives_up_a_query_whose_new_connection_is_closed_too) {
  serve({[](tls_stream& s) {
           read_request(s);
           send(s, good("1"));
         },
         [](tls_stream& s) { read_request(s); }});
  EXPECT_EQ(body_of(ask()), "1");
  expect_fault(ask(), https_fault::closed, "it closed the connection without an answer");
  EXPECT_EQ(peer->connections(), 2U);
}

TEST_F(https_client_test, does_not_repeat_a_query_whose_answer_was_cut) {
  serve({[](tls_stream& s) {
    read_request(s);
    send(s, good("1"));
    read_request(s);
    send(s, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123");
  }});
  EXPECT_EQ(body_of(ask()), "1");
  expect_fault(ask(), https_fault::closed, "in the middle of its answer");
  EXPECT_EQ(peer->connections(), 1U);
}

TEST_F(https_client_test, refuses_an_answer_without_a_length_that_ends_without_a_close_notify) {
  serve({[](tls_stream& s) {
    read_request(s);
    send(s, "HTTP/1.1 200 OK\r\n\r\n{}");
  }});
  expect_fault(ask(), https_fault::closed, "in the middle of its answer");
}

TEST_F(https_client_test, gives_up_a_service_that_hangs_and_serves_the_next_query) {
  serve({[](tls_stream& s) {
           read_request(s);
           read_request(s);  // until the client closes
         },
         [](tls_stream& s) { answer_all(s, good("2")); }});
  expect_fault(ask("/v1/x", milliseconds{300}), https_fault::timeout, "passed while it should answer");
  EXPECT_EQ(body_of(ask()), "2");
}

TEST_F(https_client_test, gives_up_a_service_that_trickles) {
  serve({[](tls_stream& s) {
    read_request(s);
    if (!send(s, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n")) return;
    pollfd closed{s.next_layer().native_handle(), POLLIN, 0};
    while (send(s, " ") && ::poll(&closed, 1, 20) == 0) {
    }
  }});
  const auto began = std::chrono::steady_clock::now();
  expect_fault(ask("/v1/x", milliseconds{300}), https_fault::timeout, "passed while it should answer");
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds{20}) << "the whole answer takes 80 s";
}

TEST_F(https_client_test, gives_up_a_name_server_that_hangs) {
  slow_resolver::hold(true);
  settings.host = slow_resolver::slow_host;
  connect();
  const auto o = ask("/v1/x", milliseconds{300});
  slow_resolver::hold(false);
  expect_fault(o, https_fault::timeout, "passed while its host name is looked up");
  expect_fault(ask(), https_fault::name, "does not resolve");
}

TEST_F(https_client_test, reports_that_nobody_listens) {
  serve({});
  client.reset();
  peer.reset();
  connect();
  expect_fault(ask(), https_fault::connect, "it cannot be reached");
}

TEST_F(https_client_test, refuses_an_answer_beyond_its_bound) {
  settings.body_max = 100;
  const std::string large(101, 'x');
  serve({[&](tls_stream& s) { answer_all(s, good(large)); },
         [&](tls_stream& s) {
           answer_all(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + large +
                             "\r\n0\r\n\r\n");
         },
         [&](tls_stream& s) { answer_all(s, "HTTP/1.1 200 OK\r\n\r\n" + large); },
         [](tls_stream& s) { answer_all(s, good("1", "Filler: " + std::string(9000, 'x') + "\r\n")); },
         [](tls_stream& s) { answer_all(s, good(std::string(100, 'x'))); }});
  for (int i = 0; i < 4; ++i) {
    SCOPED_TRACE(i);
    expect_fault(ask(), https_fault::oversized, "its answer is larger than");
  }
  EXPECT_EQ(body_of(ask()).size(), 100U);
}

TEST_F(https_client_test, refuses_what_is_not_http_without_a_byte_of_it_in_the_reason) {
  serve({[](tls_stream& s) { answer_all(s, "SECRET-OF-THE-SERVICE\r\n\r\n"); }});
  const auto o = ask();
  expect_fault(o, https_fault::malformed, "its answer is not HTTP");
  EXPECT_THAT(o.error().why, testing::Not(HasSubstr("SECRET")));
}

TEST_F(https_client_test, reads_on_after_an_informational_answer) {
  serve({[](tls_stream& s) { answer_all(s, "HTTP/1.1 103 Early Hints\r\n\r\n" + good("1")); }});
  EXPECT_EQ(body_of(ask()), "1");
  EXPECT_EQ(body_of(ask()), "1");
}

TEST_F(https_client_test, refuses_a_service_with_the_certificate_of_another_authority_or_host) {
  const crypto::tls_home other;
  const auto talk = [](tls_stream& s) { answer_all(s, good("1")); };
  serve({talk}, &other.ca);
  expect_fault(ask(), https_fault::tls, "certificate");
  client.reset();
  names = named("127.0.0.2");
  serve({talk});
  expect_fault(ask(), https_fault::tls, "certificate");
}

TEST_F(https_client_test, refuses_an_older_version_of_tls) {
  serve({[](tls_stream& s) { answer_all(s, good("1")); }}, nullptr, TLS1_2_VERSION);
  expect_fault(ask(), https_fault::tls, "");
}

TEST_F(https_client_test, leaves_a_kept_connection_whose_certificate_was_revoked) {
  std::atomic<bool> is_revoked = false;
  revoked = [&is_revoked](const ssl_st*) -> std::optional<std::string> {
    return is_revoked ? std::optional<std::string>{"it was revoked"} : std::nullopt;
  };
  serve({[](tls_stream& s) { answer_all(s, good("1")); }, [](tls_stream& s) { answer_all(s, good("2")); }});
  EXPECT_EQ(body_of(ask()), "1");
  is_revoked = true;
  EXPECT_EQ(body_of(ask()), "2");
}

TEST_F(https_client_test, bounds_the_queries_that_wait_and_ends_all_when_it_ends) {
  settings.connections = settings.waiting = 1;
  serve({[](tls_stream& s) { read_request(s), read_request(s); }});
  auto first = begin("/v1/a"), second = begin("/v1/b"), third = begin("/v1/c");
  expect_fault(third.get(), https_fault::busy, "too many queries wait");
  client.reset();
  for (auto* f : {&first, &second}) {
    ASSERT_EQ(f->wait_for(seconds{0}), std::future_status::ready);
    expect_fault(f->get(), https_fault::stopping, "stops");
  }
}

}  // namespace
}  // namespace cpns::api
