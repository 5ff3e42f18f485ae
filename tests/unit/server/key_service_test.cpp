// How often keys that were wrong are asked for again, with a service in a thread of the test.
#include "server/key_service.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <future>
#include <thread>

#include "tests/unit/crypto/tls_pair.hpp"

namespace cpns::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

const std::string own_range = "urn:dev:os:32473-*";
const std::string right_hex = "3f1c9a6be20d4875c1f05e7a938b2d46e1a70c5938fd624b8e91d3a05c7f2b68";

entity_id made_device(int n) { return entity_id::parse("urn:dev:os:32473-" + std::to_string(n)).value(); }

/// Answers each query on one connection with the key `right_hex` of the device in its path.
class key_holder {
 public:
  explicit key_holder(crypto::tls_context context)
      : tls_(context.release()), acceptor_(io_, tcp::endpoint{asio::ip::address_v4::loopback(), 0}),
        thread_([this] { serve(); }) {}
  /// After the client has closed its connection.
  ~key_holder() { thread_.join(); }
  key_holder(const key_holder&) = delete;
  key_holder& operator=(const key_holder&) = delete;
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  [[nodiscard]] int asked() const { return asked_; }

 private:
  void serve() {
    boost::system::error_code ec;
    asio::ssl::stream<tcp::socket> s{io_, tls_};
    acceptor_.accept(s.next_layer(), ec);
    s.handshake(asio::ssl::stream_base::server, ec);
    std::string request;
    while (!ec) {
      const auto size = asio::read_until(s, asio::dynamic_buffer(request, 8192), "\r\n\r\n", ec);
      if (ec) return;
      const auto from = request.find("urn:");
      const auto entity = request.substr(from, request.find(' ', from) - from);
      request.erase(0, size);
      ++asked_;
      const auto body = R"({"entity": ")" + entity + R"(", "form": "derived", "encoding": "hex", "key": ")" +
                        right_hex + "\"}";
      asio::write(s,
                  asio::buffer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                               std::to_string(body.size()) + "\r\n\r\n" + body),
                  ec);
    }
  }

  asio::io_context io_;
  asio::ssl::context tls_;
  tcp::acceptor acceptor_;
  std::atomic<int> asked_ = 0;
  std::thread thread_;
};

crypto::certificate_request named_after_its_host() {
  auto r = crypto::request_for(crypto::certificate_usage::server, "urn:maker:service");
  r.ips = {"127.0.0.1"};
  return r;
}

struct manufacturer {
  crypto::tls_home home;
  crypto::tls_files files = home.files("service", named_after_its_host());
  key_holder holder{crypto::careless(true, &files)};
  metrics::registry counted;
  std::atomic<time_point> now{now_wall()};
  std::unique_ptr<key_service> service = open();

  std::unique_ptr<key_service> open() {
    config::key_service_config c;
    c.name = "maker";
    c.entities = {own_range};
    c.url = "https://127.0.0.1:" + std::to_string(holder.port());
    c.tls = {home.client.certificate, home.client.key, home.client.ca};
    c.timeout = seconds{20};
    c.connections = 1;
    return key_service::open(c, "setting", {crypto::openssl_suite(), [this] { return now.load(); }, counted})
        .value();
  }
  /// The key that it says; fails the test if there is none.
  secret32 key_of(int n) {
    std::promise<secret32> told;
    service->ask(made_device(n), [&told](const found_key& found) {
      EXPECT_TRUE(found && *found);
      told.set_value(found && *found ? (*found)->temporary_key : secret32{});
    });
    return told.get_future().get();
  }
  /// Whether it is asked again, because the device did not prove its presence; waits for the answer.
  bool asks_again(int n) {
    auto told = std::make_shared<std::promise<void>>();
    auto came = told->get_future();
    const auto wrong = key_of(n);
    const bool asked =
        service->ask_again(made_device(n), wrong, [told](const found_key&) { told->set_value(); });
    if (asked) came.get();
    return asked;
  }
  void pass(milliseconds time) { now = now.load() + time; }
};

TEST(key_service, asks_for_ten_wrong_keys_again_and_then_for_one_per_second) {
  manufacturer m;
  int n = 0;
  for (; n < 10; ++n) EXPECT_TRUE(m.asks_again(n)) << n;
  EXPECT_FALSE(m.asks_again(n));
  EXPECT_EQ(m.holder.asked(), 21) << "each of eleven devices once, and ten of them again";
  m.pass(milliseconds{999});
  EXPECT_FALSE(m.asks_again(n));
  m.pass(milliseconds{2});
  EXPECT_TRUE(m.asks_again(n++));
  EXPECT_FALSE(m.asks_again(n)) << "one second was one query";
  m.pass(seconds{60});
  for (const int last = n + 10; n < last; ++n) EXPECT_TRUE(m.asks_again(n)) << n;
  EXPECT_FALSE(m.asks_again(n)) << "at rest it saves no more than ten";
}

TEST(key_service, gives_no_more_wrong_keys_a_second_query_when_the_clock_is_set_back) {
  manufacturer m;
  int n = 0;
  for (; n < 10; ++n) EXPECT_TRUE(m.asks_again(n)) << n;
  m.pass(-seconds{3600});
  EXPECT_FALSE(m.asks_again(n));
  m.pass(seconds{1});
  EXPECT_TRUE(m.asks_again(n++)) << "it goes on from the new time";
  EXPECT_FALSE(m.asks_again(n));
}

TEST(key_service, asks_for_no_key_again_twice_and_takes_nothing_of_the_rate_for_it) {
  manufacturer m;
  EXPECT_TRUE(m.asks_again(0));
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(m.asks_again(0)) << "the answer was the same key";
  for (int n = 1; n < 10; ++n) EXPECT_TRUE(m.asks_again(n)) << n;
}

}  // namespace
}  // namespace cpns::server
